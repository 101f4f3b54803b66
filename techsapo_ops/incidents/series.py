"""Which series changed around the beginning of an alert, and how.

Levels are medians and scatter is the median absolute deviation (MAD), so that one odd sample neither makes a
change nor hides one: Rousseeuw and Croux, "Alternatives to the Median Absolute Deviation", 1993.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from techsapo_ops.adapters.prometheus import Series
from techsapo_ops.incidents.material import Material

How = Literal["rose", "fell", "began", "ended", "set", "steady"]
Unit = Literal["", "per second", "on average", "time"]
_RATES = ("_total", "_count", "_sum")
_TIMES = re.compile(r"time|expir|not_after|since|last|_seconds$")
"""In the names of gauges that hold a time, if the value can be one."""
_YEARS = 20 * 366 * 86_400
_GAUGES = ("_bytes", "_seconds", "_ratio", "_percent", "_celsius", "_info")
_FEWEST = 3
"""Samples before and after a moment, without which nothing is said of a change at it."""
_MOMENTS = (0.9, 0.65, 0.4)
"""Where a change is looked for, as parts of the time before the alert: `for` delays alerts."""
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


def movements(material: Material) -> list[Movement]:
    """What each series did around the beginning of the alert, in the order of the series."""
    start, began, end = (time.timestamp() for time in (material.start, material.subject.began, material.end))
    readings = list(_readings(material.series))
    largest: dict[str, float] = defaultdict(float)
    step = min((gap for reading in readings[:50] for gap in _gaps(reading.times)), default=0.0)
    for reading in readings:
        largest[reading.name] = max(largest[reading.name], *map(abs, reading.values))
    return [_movement(reading, (start, began, end), largest[reading.name], step) for reading in readings]


def names_in(expression: str) -> frozenset[str]:
    """The words of a PromQL expression that can be names of metrics."""
    return frozenset(
        re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.sub(r"\{[^}]*\}|\"[^\"]*\"", " ", expression))
    )


def _gaps(times: Sequence[float]) -> Iterator[float]:
    return (later - earlier for earlier, later in zip(times, times[1:], strict=False))


def _readings(series: Iterable[Series]) -> Iterator[Reading]:
    plain: dict[tuple[str, tuple[tuple[str, str], ...]], Reading] = {}
    for one in series:
        labels = {key: value for key, value in sorted(one.labels.items()) if key != "__name__"}
        points = sorted(point for point in one.values.items() if math.isfinite(point[1]))
        name = one.labels.get("__name__", "")
        if points:
            times, values = zip(*points, strict=True)
            plain[name, tuple(labels.items())] = Reading(name, labels, "", times, values)
    for (name, key), reading in plain.items():
        base, _, kind = name.rpartition("_")
        if kind == "bucket" and (f"{base}_sum", tuple(pair for pair in key if pair[0] != "le")) in plain:
            continue
        if kind == "sum" and (count := plain.get((f"{base}_count", key))):
            yield from _mean(base, reading, count)
        elif _TIMES.search(name) and abs(reading.values[0] - reading.times[0]) < _YEARS:
            yield Reading(name, reading.labels, "time", reading.times, reading.values)
        elif name.endswith(_RATES) or kind == "bucket" or _counts(reading):
            yield from _rate(reading)
        else:
            yield reading


def _counts(reading: Reading) -> bool:
    """Whether it looks like a counter that is not called one: whole numbers that only grow, mostly."""
    values = reading.values
    if reading.name.endswith(_GAUGES) or len(values) < 6 or values[0] == values[-1]:
        return False
    grown = [later - earlier for earlier, later in zip(values, values[1:], strict=False)]
    return (
        min(grown) >= 0
        and sum(step > 0 for step in grown) * 2 >= len(grown)
        and all(value == int(value) for value in values)
    )


def _growth(values: Sequence[float]) -> list[float]:
    """What a counter grew by from sample to sample; after a reset it began at 0."""
    return [b - a if b >= a else b for a, b in zip(values, values[1:], strict=False)]


def _rate(reading: Reading) -> Iterator[Reading]:
    grown = [step / gap for step, gap in zip(_growth(reading.values), _gaps(reading.times), strict=True)]
    if grown:
        yield Reading(reading.name, reading.labels, "per second", reading.times[1:], grown)


def _mean(name: str, total: Reading, count: Reading) -> Iterator[Reading]:
    """The mean of what was observed between two samples, where anything was."""
    if total.times != count.times:
        return
    pairs = zip(total.times[1:], _growth(total.values), _growth(count.values), strict=True)
    points = [(time, grown / number) for time, grown, number in pairs if number > 0]
    if points:
        times, values = zip(*points, strict=True)
        yield Reading(name, total.labels, "on average", times, values)


def _movement(reading: Reading, window: tuple[float, float, float], largest: float, step: float) -> Movement:
    start, began, end = window
    times, values = reading.times, reading.values
    if reading.unit == "time":
        return _set(reading, start, end, step)
    slack = 3.5 * step
    if times[-1] < end - slack and times[-1] > start + slack:
        return Movement(reading, "ended", values[-1], None, times[-1], 0.8)
    if times[0] > start + slack and reading.unit != "on average":
        weight = 0.7 if any(values) else 0.2
        return Movement(reading, "began", None, median(values[-5:]), times[0], weight)
    if min(values) == max(values):
        return Movement(reading, "steady", values[0], values[0], None, 0.0)
    best = Movement(reading, "steady", _level(values), _level(values), None, 0.0)
    for part in _MOMENTS:
        split = bisect_left(times, start + part * (began - start))
        if min(split, len(values) - split) < _FEWEST:
            continue
        before, after = values[:split], values[split:]
        low, high = _level(before), _level(after)
        weight = _weight(before, low, high, largest) * (0.9 + 0.1 * part)
        if weight > best.weight:
            best = Movement(
                reading, "rose" if high > low else "fell", low, high, _first(times, values, low, high), weight
            )
    return best


def _level(values: Sequence[float]) -> float:
    """The median; the mean where the median is 0, as of a counter of rare events."""
    return median(values) or sum(values) / len(values)


def _weight(before: Sequence[float], low: float, high: float, largest: float) -> float:
    """How much larger than the scatter before the change is, and how many times the level before, together."""
    difference = abs(high - low)
    scatter = _MAD * median(abs(value - low) for value in before)
    scale = max(scatter, 0.03 * abs(low), 0.02 * largest, 1e-12)
    sigmas = difference / scale
    folds = abs(math.log2((abs(high) + 0.01 * largest) / (abs(low) + 0.01 * largest)))
    return 0.6 * sigmas / (sigmas + 4) + 0.4 * folds / (folds + 1)


def _first(times: Sequence[float], values: Sequence[float], low: float, high: float) -> float:
    """The first of two neighbours that are nearer to the level after than to the one before."""
    middle, sign = (low + high) / 2, 1 if high > low else -1
    beyond = [(value - middle) * sign > 0 for value in values]
    for number in range(len(values) - 1):
        if beyond[number] and beyond[number + 1]:
            return times[number]
    return times[beyond.index(True)] if True in beyond else times[-1]


def _set(reading: Reading, start: float, end: float, step: float) -> Movement:
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
    return Movement(reading, "set", values[0], values[-1], changes[0], 0.75)
