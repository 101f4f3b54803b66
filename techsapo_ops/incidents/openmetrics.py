"""Series as OpenMetrics text: raw samples with timestamps, several of one series.

Format: https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md. Names beyond its
alphabet are written quoted, within the braces, as Prometheus 3 does.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator

from techsapo_ops.adapters.prometheus import Series
from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.messages import msg

MOST_SAMPLES = 500_000
MOST_SERIES = 20_000
LONGEST_LINE = 8_000
_LATEST = 4_102_444_800.0
"""The year 2100 in Unix seconds: a time beyond it is in other units."""
_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_QUOTED = r'"(?:[^"\\\n]|\\.)*"'
_LABEL = rf"(?:{_NAME}|{_QUOTED})={_QUOTED}"
_SERIES = re.compile(rf"({_NAME})?(?:\{{((?:{_QUOTED}|{_LABEL})?(?:,{_LABEL})*),?\}})?")
_PART = re.compile(rf"(?:({_NAME}|{_QUOTED})=)?({_QUOTED})")
_NUMBER = re.compile(
    r"[+-]?(?:\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+|inf(?:inity)?|nan)", re.ASCII | re.IGNORECASE
)
_ESCAPED = re.compile(r"\\(.)")


class OpenMetricsError(ValueError):
    """Text that is not OpenMetrics with timestamps; `line` counts from 1."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line
        self.problem = problem


def text_of(series: Iterable[Series]) -> str:
    """`series` as one text. The samples of a name stand together, as the format wants it."""
    ordered = sorted(series, key=lambda one: (one.labels.get("__name__", ""), sorted(one.labels.items())))
    return "".join(map(lines_of, ordered)) + "# EOF\n"


def lines_of(series: Series) -> str:
    """The lines of one series, in the order of its samples' times."""
    labels = dict(series.labels)
    name = labels.pop("__name__", "")
    plain = re.fullmatch(_NAME, name) is not None
    parts = [] if plain else [_quoted(name)]
    parts += [f"{_key(key)}={_quoted(value)}" for key, value in sorted(labels.items())]
    head = (name if plain else "") + ("{" + ",".join(parts) + "}" if parts else "")
    return "".join(
        f"{head} {_number(value)} {_number(time)}\n" for time, value in sorted(series.values.items())
    )


def series_of(text: object) -> object:
    """The series of a text that ends with `# EOF`; what is no text is returned as it is.

    Exemplars and descriptions are passed over. Raises OpenMetricsError for a sample without a time, more than
    MOST_SERIES or MOST_SAMPLES, and whatever is no OpenMetrics.
    """
    if not isinstance(text, str):
        return text
    series: dict[str, tuple[dict[str, str], dict[float, float]]] = {}
    for count, (number, line) in enumerate(_lines(text), 1):
        head, value, time = _sample(line, number)
        if head not in series:
            if len(series) == MOST_SERIES:
                raise OpenMetricsError(number, msg("more than {most} series", most=MOST_SERIES))
            series[head] = _labels(head, number), {}
        values = series[head][1]
        if values and time <= next(reversed(values)):
            raise OpenMetricsError(number, msg("the times of a series must ascend"))
        if count > MOST_SAMPLES:
            raise OpenMetricsError(number, msg("more than {most} samples", most=MOST_SAMPLES))
        values[time] = value
    return tuple(Series(labels, values) for labels, values in series.values())


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The samples' lines, numbered."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    for number, line in enumerate(lines, 1):
        if len(line) > LONGEST_LINE:
            raise OpenMetricsError(number, msg("longer than {most} characters", most=LONGEST_LINE))
        if line == "# EOF":
            if number < len(lines):
                raise OpenMetricsError(number + 1, msg("text after `# EOF`"))
            return
        if not line.startswith("# "):
            yield number, line
    raise OpenMetricsError(len(lines), msg("the text must end with `# EOF`"))


def _sample(line: str, number: int) -> tuple[str, float, float]:
    """The series as it is written, the value and the time of one line."""
    match = _SERIES.match(line)
    fields = line[match.end() :].split(" ", 4) if match and match[0] else []
    if len(fields) < 3 or fields[0] or (len(fields) > 3 and fields[3] != "#"):
        raise OpenMetricsError(number, msg("not a sample `name{{labels}} value time`"))
    if not all(_NUMBER.fullmatch(field) for field in fields[1:3]):
        raise OpenMetricsError(number, msg("value and time must be numbers"))
    time = float(fields[2])
    if not 0 <= time < _LATEST:
        raise OpenMetricsError(number, msg("the time must be in Unix seconds"))
    return line[: line.index(" ", match.end())] if match else "", float(fields[1]), time


def _labels(head: str, number: int) -> dict[str, str]:
    name, brace, rest = head.partition("{")
    labels = {"__name__": name} if name else {}
    for key, value in _PART.findall(rest) if brace else ():
        key = _plain(key) if key else "__name__"
        if key in labels:
            raise OpenMetricsError(number, msg("{key} twice", key=key))
        labels[key] = _plain(value)
    if not labels.get("__name__"):
        raise OpenMetricsError(number, msg("a series without a name"))
    return labels


def _plain(text: str) -> str:
    if not text.startswith('"'):
        return text
    return harmless(_ESCAPED.sub(lambda match: "\n" if match[1] == "n" else match[1], text[1:-1]))


def _key(name: str) -> str:
    return name if re.fullmatch(_NAME, name) else _quoted(name)


def _quoted(text: str) -> str:
    escaped = harmless(text).replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return f'"{escaped}"'


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
