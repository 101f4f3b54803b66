"""Which series changed around the beginning of an alert, and how, in numbers and in words.

Levels are medians and scatter is the median absolute deviation (MAD), so that one odd sample neither makes a
change nor hides one: Rousseeuw and Croux, "Alternatives to the Median Absolute Deviation", 1993.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from statistics import median
from typing import Literal

from techsapo_ops.adapters.prometheus import Series
from techsapo_ops.catalogue.dashboards import metric_titles
from techsapo_ops.catalogue.translations import Language, in_language
from techsapo_ops.incidents.material import Material
from techsapo_ops.messages import msg

How = Literal["rose", "fell", "began", "ended", "set", "steady"]
Unit = Literal["", "per second", "on average", "time"]
_RATES = ("_total", "_count", "_sum", "_bucket")
"""How the names of counters end; whatever is called otherwise may fall, though it only rose by now."""
_TIMES = re.compile(r"time|expir|not_after|since|last|_seconds$")
"""In the names of gauges that hold a time, if the value can be one."""
_HARMS_BY_MORE = re.compile(
    r"error|fail|refus|reject|evict|abort|block|wait|lag|behind|queue|oom|kill|restart|retrans|drop|timeout|lost"
    r"|slow|used|fds|pending|expired"
)
_HARMS_BY_LESS = re.compile(r"avail|free|success|healthy|ready|(?:^|_)(?:up|hits|running)$")
_OWNERS = frozenset({"job", "instance", "host", "service"})
"""Labels that say whose a series is: they are said once for several."""
_YEARS = 20 * 366 * 86_400
_MOST_MISSED = 1_000
_LARGEST = 1e150
"""What is beyond is no measurement, and its square no number."""
_Key = tuple[str, tuple[tuple[str, str], ...]]
_MAD = 1.4826
"""Makes of the MAD of normally distributed values their standard deviation."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a series says: its value, what a counter grows a second, or the mean of a histogram."""

    name: str
    labels: Mapping[str, str]
    unit: Unit
    times: Sequence[float]
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Movement:
    """How one reading moved. `at` is when (Unix seconds), `weight` how much, from 0 to 1."""

    reading: Reading
    how: How
    before: float | None
    after: float | None
    at: float | None
    weight: float


@dataclass(frozen=True, slots=True)
class _Scrapes:
    """When a target was first and last scraped, and how many seconds lie between two scrapes."""

    first: float
    last: float
    step: float


def movements(material: Material) -> list[Movement]:
    """What each series did around the beginning of the alert, in the order of the series."""
    plain = _plain(material.series)
    scrapes = _scrapes(plain.values(), material.start.timestamp(), material.end.timestamp())
    moved, rest = [], []
    largest: dict[str, float] = defaultdict(float)
    for raw in plain.values():
        target = scrapes[_target(raw)]
        late = raw.times[0] > target.first + 1.5 * target.step
        reading = _reading(raw, plain, target, late)
        if reading is None:
            continue
        if raw.times[-1] < target.last - 1.5 * target.step:
            moved.append(Movement(reading, "ended", reading.values[-1], None, raw.times[-1], 0.7))
        if late and reading.unit == "":
            moved.append(Movement(reading, "began", None, median(reading.values[-5:]), raw.times[0], 0.7))
        elif reading.unit == "time":
            moved.append(_set(reading, target.step))
        else:
            rest.append(reading)
            if reading.unit == "per second":
                largest[reading.name] = max(largest[reading.name], *reading.values)
    return moved + [_movement(reading, largest[reading.name]) for reading in rest]


def selectors(expression: str) -> tuple[tuple[str, dict[str, str]], ...]:
    """The names in a PromQL expression that can be metrics, each with the labels that it demands by `=`.

    Other matchers are passed over: an expression may be anybody's, and so may its regular expressions.
    """
    return tuple(
        (found[1], dict(re.findall(r"(\w+)\s*=\s*\"([^\"]*)\"", found[2] or "")))
        for found in re.finditer(r"\"[^\"]*\"|([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\s*\{([^}]*)\})?", expression)
        if found[1]
    )


def _gaps(times: Sequence[float]) -> Iterator[float]:
    return (later - earlier for earlier, later in pairwise(times))


def _plain(series: Iterable[Series]) -> dict[_Key, Reading]:
    """Readings of the values themselves, without those that are no numbers."""
    plain: dict[_Key, Reading] = {}
    for one in series:
        labels = {key: value for key, value in sorted(one.labels.items()) if key != "__name__"}
        points = sorted(point for point in one.values.items() if abs(point[1]) < _LARGEST)
        name = one.labels.get("__name__", "")
        if points:
            times, values = zip(*points, strict=True)
            plain[name, tuple(labels.items())] = Reading(name, labels, "", times, values)
    return plain


def _target(reading: Reading) -> tuple[str, str]:
    return reading.labels.get("job", ""), reading.labels.get("instance", "")


def _scrapes(readings: Iterable[Reading], start: float, end: float) -> dict[tuple[str, str], _Scrapes]:
    """Of each target, by the one of its series with the most samples. A few scrapes may be missing."""
    fullest: dict[tuple[str, str], Reading] = {}
    for reading in readings:
        target = _target(reading)
        if target not in fullest or len(reading.times) > len(fullest[target].times):
            fullest[target] = reading
    scrapes = {}
    for target, reading in fullest.items():
        times = reading.times
        step = median(_gaps(times)) if len(times) > 1 else end - start
        scrapes[target] = _Scrapes(min(times[0], start + 3 * step), max(times[-1], end - 3 * step), step)
    return scrapes


def _reading(raw: Reading, plain: Mapping[_Key, Reading], target: _Scrapes, late: bool) -> Reading | None:
    """What is looked at of a series; None where another one shows more."""
    key = tuple(raw.labels.items())
    base, _, kind = raw.name.rpartition("_")
    if kind == "bucket" and (f"{base}_sum", tuple(pair for pair in key if pair[0] != "le")) in plain:
        return None
    if kind == "sum" and (count := plain.get((f"{base}_count", key))):
        return _mean(base, raw, count)
    if _TIMES.search(raw.name) and abs(raw.values[0] - raw.times[0]) < _YEARS:
        return replace(raw, unit="time")
    if raw.name.endswith(_RATES):
        if late:  # it was 0 until then
            missed = [raw.times[0] - target.step * n for n in range(1, _MOST_MISSED)]
            times = [time for time in missed if time >= target.first][::-1]
            raw = replace(raw, times=(*times, *raw.times), values=(*[0.0] * len(times), *raw.values))
        return _rate(raw)
    return raw


def _growth(values: Sequence[float]) -> list[float]:
    """What a counter grew by from sample to sample; after a reset it began at 0."""
    return [b - a if b >= a else b for a, b in pairwise(values)]


def _rate(reading: Reading) -> Reading | None:
    grown = [step / gap for step, gap in zip(_growth(reading.values), _gaps(reading.times), strict=True)]
    return replace(reading, unit="per second", times=reading.times[1:], values=grown) if grown else None


def _mean(name: str, total: Reading, count: Reading) -> Reading | None:
    """The mean of what was observed between two samples, where anything was."""
    if total.times != count.times:
        return None
    pairs = zip(total.times[1:], _growth(total.values), _growth(count.values), strict=True)
    points = [(time, grown / number) for time, grown, number in pairs if number > 0]
    if not points:
        return None
    times, values = zip(*points, strict=True)
    return Reading(name, total.labels, "on average", times, values)


def _movement(reading: Reading, largest: float) -> Movement:
    times, values = reading.times, reading.values
    if min(values) == max(values):
        return Movement(reading, "steady", values[0], values[0], None, 0.0)
    split = _split(values)
    low, high = _level(values[:split]), _level(values[split : split + max(5, len(values) // 4)])
    scatter, walk = _scatter(values[:split], low), _walk(values)
    if walk < scatter:  # it drifts
        low, high = median(values[:5]), median(values[-5:])
    how: How = "rose" if high > low else "fell" if high < low else "steady"
    weight = _weight(low, high, min(scatter, walk), largest) * _bias(reading.name, how)
    fuller = values[split:] if abs(high) > abs(low) else values[:split]
    if not median(fuller):  # a few events
        events = sum(value != 0 for value in fuller)
        weight *= events / (events + 2)
    return Movement(reading, how, low, high, times[split], min(1.0, weight))


def _bias(name: str, how: How) -> float:
    """More for what harms by its name, such as more errors or less space; less for the contrary."""
    if _HARMS_BY_MORE.search(name):
        return 1.1 if how == "rose" else 0.7
    if _HARMS_BY_LESS.search(name):
        return 1.1 if how == "fell" else 0.7
    return 0.85 if how == "fell" else 1.0


def _split(values: Sequence[float]) -> int:
    """Where values change most: the largest cumulative sum of their deviations from the mean.

    Page's CUSUM as for a single change: Csörgő and Horváth, "Limit Theorems in Change-Point Analysis", 1997.
    """
    count, mean = len(values), sum(values) / len(values)
    best, total, split = 0.0, 0.0, 1
    for number in range(1, count):
        total += values[number - 1] - mean
        size = total * total / (number * (count - number))
        if size > best:
            best, split = size, number
    return split


def _level(values: Sequence[float]) -> float:
    """The median; the mean where the median is 0, as of a counter of rare events."""
    return median(values) or sum(values) / len(values)


def _scatter(values: Sequence[float], level: float) -> float:
    return _MAD * median(abs(value - level) for value in values)


def _walk(values: Sequence[float]) -> float:
    """How far a random walk of steps like these would come: what drifts comes further."""
    steps = [abs(b - a) for a, b in pairwise(values)]
    return (1.5 * median(steps) * len(steps) ** 0.5) or math.inf


def _weight(low: float, high: float, scatter: float, largest: float) -> float:
    """How far beyond the scatter the change goes, and how many times the level before it is, together.

    `largest` is the largest rate of its name: what is little beside that matters little.
    """
    size = max(abs(low), abs(high))
    scale = max(scatter, 0.03 * size, 0.01 * largest, 1e-12)
    sigmas = abs(high - low) / scale
    least = 0.01 * max(size, largest)
    folds = abs(math.log2((abs(high) + least) / (abs(low) + least)))
    return 0.6 * sigmas / (sigmas + 4) + 0.4 * folds / (folds + 1)


def _set(reading: Reading, step: float) -> Movement:
    """A time as a value: it was passed, it was set anew as by a restart, or it is no longer set."""
    times, values = reading.times, reading.values
    passed = [time for time, value in zip(times, values, strict=True) if time >= value]
    ahead = [time for time, value in zip(times, values, strict=True) if time < value]
    changes = [time for time, a, b in zip(times[1:], values, values[1:], strict=False) if a != b]
    if ahead and passed and passed[0] > ahead[0] and not changes:
        return Movement(reading, "set", None, values[-1], passed[0], 0.9)
    if not changes:
        return Movement(reading, "steady", values[0], values[0], None, 0.0)
    if len(changes) * 4 > len(times):
        silent = times[-1] - changes[-1]
        late = silent > 3 * median([*_gaps(changes), step])
        return Movement(reading, "steady", None, values[-1], changes[-1], 0.5 if late else 0.0)
    return Movement(reading, "set", values[0], values[-1], changes[0], 0.6)


def said(movements: Sequence[Movement], more: int) -> str:
    """One line for each; on the first, whose they are where that is the same."""
    shared = _shared(movements)
    lines = [_line_of(one, shared) for one in movements]
    if more > 0:
        lines.append(f"and {more} more")
    return "\n".join([*filter(None, [_of_whom(shared)]), *lines])


def said_first(movements: Sequence[Movement], language: Language) -> str:
    """What the first of them did and whose it is, for people: in one line, with its name in the catalogue."""
    shared, first = _shared(movements), movements[0]
    title = metric_titles().get(first.reading.name, {}).get(language, "") if language != "en" else ""
    line = in_language(_line_of(first, shared, title), language)
    return ": ".join(filter(None, [_of_whom(shared), line]))


def _shared(movements: Sequence[Movement]) -> set[tuple[str, str]]:
    """The labels that say whose all of them are."""
    shared = set.intersection(*(set(one.reading.labels.items()) for one in movements))
    return {(key, value) for key, value in shared if key in _OWNERS}


def _of_whom(shared: set[tuple[str, str]]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(shared))


def _line_of(one: Movement, shared: set[tuple[str, str]], title: str = "") -> str:
    reading = one.reading
    own = ", ".join(f'{k}="{v}"' for k, v in reading.labels.items() if (k, v) not in shared)
    name = reading.name + (f"{{{own}}}" if own else "")
    name = f"{title} ({name})" if title else name
    at = f"{datetime.fromtimestamp(one.at, UTC):%H:%M:%SZ}" if one.at is not None else ""
    before, after = _number(one.before, reading), _number(one.after, reading)
    match one.how:
        case "began":
            return msg("{name} began at {at}: {after}", name=name, at=at, after=_measured(after, reading))
        case "ended":
            before = _measured(before, reading)
            return msg("{name} ended at {at}, last {before}", name=name, at=at, before=before)
        case "set" if before:
            return msg(
                "{name} is {after}, set at {at}, before {before}",
                name=name,
                after=after,
                at=at,
                before=before,
            )
        case "set":
            return msg("{name} is {after}, passed at {at}", name=name, after=after, at=at)
        case "steady" if reading.unit == "time" and at:
            return msg("{name} is {after}, last set at {at}", name=name, after=after, at=at)
        case "steady" if reading.unit == "time":
            return msg("{name} is {after}", name=name, after=after)
        case "steady":
            return msg("{name} steady: {after}", name=name, after=_measured(after, reading))
    levels = {"before": before, "after": _measured(after, reading)}
    if one.how == "rose":
        return msg("{name} rose from {before} to {after} at {at}", name=name, at=at, **levels)
    return msg("{name} fell from {before} to {after} at {at}", name=name, at=at, **levels)


def _measured(value: str, reading: Reading) -> str:
    """A value in words, with what it is of a counter or a histogram."""
    match reading.unit:
        case "per second":
            return msg("{value} per second", value=value)
        case "on average":
            return msg("{value} on average", value=value)
    return value


def _number(value: float | None, reading: Reading) -> str:
    if value is None:
        return ""
    if reading.unit == "time":
        return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%dT%H:%M:%SZ}"
    if "bytes" in reading.name and abs(value) >= 10_000:
        for prefix, factor in (("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)):
            if abs(value) >= factor:
                return f"{value / factor:.3g} {prefix}iB"
    return f"{value:.4g}" if abs(value) < 1e6 else f"{value:.0f}"
