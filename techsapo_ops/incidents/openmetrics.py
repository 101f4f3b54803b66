"""Series as OpenMetrics text: raw samples with timestamps, several of one series.

Format: https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md. Names beyond its
alphabet are written quoted, within the braces, as Prometheus 3 does. prometheus-client reads it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby

from techsapo_ops.adapters.prometheus import Series
from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.messages import msg

MOST_SAMPLES = 500_000
MOST_SERIES = 20_000
LONGEST_LINE = 8_000
"""Characters: the parser takes time that grows with the square of a line's labels."""
_LATEST = 4_102_444_800.0
"""The year 2100 in Unix seconds: a time beyond it is in other units."""
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


def text_of(series: Iterable[Series]) -> str:
    """`series` as one text. The samples of a name stand together, as the format wants it."""
    ordered = sorted(series, key=lambda one: (_name(one), sorted(one.labels.items())))
    lines = []
    for name, same in groupby(ordered, key=_name):
        if not _NAME.fullmatch(name):  # without a type, prometheus-client refuses a quoted name
            lines.append(f"# TYPE {_quoted(name)} unknown\n")
        lines += map(lines_of, same)
    return "".join(lines) + "# EOF\n"


def _name(series: Series) -> str:
    return series.labels.get("__name__", "")


def lines_of(series: Series) -> str:
    """The lines of one series, in the order of its samples' times."""
    labels = dict(series.labels)
    name = labels.pop("__name__", "")
    plain = _NAME.fullmatch(name) is not None
    parts = [] if plain else [_quoted(name)]
    parts += [
        f"{key if _NAME.fullmatch(key) else _quoted(key)}={_quoted(value)}"
        for key, value in sorted(labels.items())
    ]
    head = (name if plain else "") + ("{" + ",".join(parts) + "}" if parts else "")
    return "".join(
        f"{head} {_number(value)} {_number(time)}\n" for time, value in sorted(series.values.items())
    )


def series_of(text: object) -> object:
    """The series of a text that ends with `# EOF`; what is no text is returned as it is.

    Exemplars and descriptions are passed over. Raises ValueError for a sample without a time, more than
    MOST_SERIES or MOST_SAMPLES, a line beyond LONGEST_LINE, and whatever is no OpenMetrics.
    """
    if not isinstance(text, str):
        return text
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    if max(map(len, text.split("\n"))) > LONGEST_LINE:
        raise ValueError(msg("a line is longer than {most} characters", most=LONGEST_LINE))
    series: dict[tuple[tuple[str, str], ...], dict[float, float]] = {}
    try:
        families = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
        samples = (sample for family in families for sample in family.samples)
        for count, sample in enumerate(samples, 1):
            labels = {"__name__": sample.name, **sample.labels}
            values = series.setdefault(tuple((harmless(k), harmless(v)) for k, v in labels.items()), {})
            if sample.timestamp is None or not 0 <= (time := float(sample.timestamp)) < _LATEST:
                raise ValueError(msg("each sample needs a time in Unix seconds"))
            if values and time <= next(reversed(values)):
                raise ValueError(msg("the times of a series must ascend"))
            if count > MOST_SAMPLES or len(series) > MOST_SERIES:
                raise ValueError(msg("more than {most} series, or too many samples", most=MOST_SERIES))
            values[time] = sample.value
    except (ValueError, LookupError, TypeError, AttributeError) as error:  # what the parser raises
        raise ValueError(msg("not OpenMetrics text: {why}", why=str(error)[:200])) from None
    return tuple(Series(dict(labels), values) for labels, values in series.items())


def _quoted(text: str) -> str:
    escaped = harmless(text).replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return f'"{escaped}"'


def _number(value: float) -> str:
    if value != value or value in {float("inf"), float("-inf")}:
        return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}[str(value)]
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
