"""What people do without this: the last warnings, three obvious picks, or all of it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import mean, pstdev

from techsapo_ops.adapters.prometheus import Series
from techsapo_ops.incidents.material import Material
from techsapo_ops.incidents.openmetrics import lines_of
from techsapo_ops.incidents.patterns import mined
from tests.incidents.score import Shown


def last_warnings(material: Material, size: int) -> list[Shown]:
    """The last hundred lines that are a warning or worse, the newest first."""
    bad = [line for line in sorted(material.lines, key=lambda line: line.at) if line.level]
    return _within([("logs", f"{line.at} {line.service} {line.text}") for line in bad[:-101:-1]], size)


def obvious(material: Material, size: int) -> list[Shown]:
    """The newest change, the series with the largest z-score, and the rarest error."""
    began = material.subject.began
    picked: list[Shown] = []
    changes = [change for change in material.changes if change.at <= began] or list(material.changes)
    if changes:
        newest = max(changes, key=lambda change: change.at)
        picked.append(("changes", f"{newest.kind} {newest.service} {newest.text}\n{newest.detail}"))
    if material.series:
        furthest = max(material.series, key=lambda series: _z(series, began.timestamp()))
        picked.append(("metrics", lines_of(furthest)))
    errors = [pattern for pattern in mined(material.lines) if pattern.level == "error"]
    if errors:
        rarest = min(errors, key=lambda pattern: len(pattern.times))
        picked.append(("logs", f"{rarest.service} {rarest.sample}"))
    return _within(picked, size)


def everything(material: Material, size: int) -> list[Shown]:
    """All that was read, in its own order, until the size is used up."""
    changes = [("changes", f"{c.at} {c.kind} {c.service} {c.text}\n{c.detail}") for c in material.changes]
    facts = [("host", f"{fact.name}: {fact.value}") for fact in material.facts]
    lines = [("logs", f"{line.at} {line.service} {line.text}") for line in material.lines]
    series = [("metrics", lines_of(one)) for one in material.series]
    return _within([*changes, *facts, *lines, *series], size)


def _z(series: Series, began: float) -> float:
    """How many standard deviations the mean since the beginning is from the one before."""
    finite = {time: value for time, value in series.values.items() if math.isfinite(value)}
    before = [value for time, value in finite.items() if time < began]
    after = [value for time, value in finite.items() if time >= began]
    if len(before) < 2 or not after:
        return 0.0
    difference = abs(mean(after) - mean(before))
    return difference / (pstdev(before) or 1e-9) if difference else 0.0


def _within(shown: Iterable[Shown], size: int) -> list[Shown]:
    kept: list[Shown] = []
    for one in shown:
        size -= len(one[1].encode()) + 1
        if size < 0:
            break
        kept.append(one)
    return kept
