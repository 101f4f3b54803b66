"""Which backups stay, and why."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from techsapo_ops.messages import msg
from techsapo_ops.spec.models.upkeep import Keep


@dataclass(frozen=True, slots=True)
class Known:
    """What retention looks at of one backup, oldest first in a list of them.

    `good`: whole, and not found wrong; `deep`: restored on trial and found right; `logs`: those of the
    servers with which going on from it begins; `kinds`: what it holds; `safety`: made by a restore;
    `tampered`: changed, or put there, by somebody else as far as can be told; `shrank`: id of a backup that
    has less than half of this one, and that nobody has accepted.
    """

    id: str
    started: datetime
    good: bool = True
    deep: bool = False
    logs: frozenset[str] = frozenset()
    kinds: tuple[str, ...] = ()
    safety: bool = False
    tampered: bool = False
    shrank: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one backup stays, and the reasons."""

    id: str
    keep: bool
    reasons: tuple[str, ...]


SAFETY_KEPT = 2
"""Backups made by restores that stay."""
_PERIODS: tuple[tuple[str, Callable[[datetime], tuple[int, ...]]], ...] = (
    ("daily", lambda t: (t.year, t.month, t.day)),
    ("weekly", lambda t: tuple(t.isocalendar()[:2])),
    ("monthly", lambda t: (t.year, t.month)),
)


def judge(
    backups: Sequence[Known], keep: Keep, zone: tzinfo, logs: Collection[str] | None
) -> tuple[Verdict, ...]:
    """A verdict on each of `backups`, which are oldest first; days begin in `zone`.

    Of each period the last good backup counts; periods are counted by the backups that are there, so that a
    pause or a clock set back removes nothing. Backups of other sources are counted by themselves: one of
    a single source is no reason for last night's of everything to go. `logs` are those that the servers
    still have; None where one can't be asked, and then every backup stays that such a log may still follow.
    One that was tampered with takes no other's place, and stays to be looked at.
    """
    reasons: dict[str, list[str]] = {b.id: [] for b in backups}
    for backup in [b for b in backups if b.tampered]:
        reasons[backup.id].append(msg("tampered with: look at it, then remove it by hand"))
    good = [b for b in backups if b.good and not b.tampered]
    counts: Mapping[str, int] = keep.model_dump()
    for kinds in dict.fromkeys(b.kinds for b in good):
        _count([b for b in good if b.kinds == kinds and not b.safety], counts, zone, reasons)
    for backup in [b for b in good if b.safety][-SAFETY_KEPT:]:
        reasons[backup.id].append(msg("what a restore replaced"))
    for backup in [b for b in backups if b.shrank]:
        reasons[backup.id].append(
            msg("{shrank} shrank since, and nobody accepted that", shrank=backup.shrank)
        )
    chain = [b for b in good if b.logs and (logs is None or not b.logs.isdisjoint(logs))]
    if chain:
        since = msg("the point-in-time chain begins here")
        reasons[chain[0].id].append(
            since if logs is not None else msg("{since}, as far as is known", since=since)
        )
    return tuple(Verdict(b.id, bool(reasons[b.id]), tuple(reasons[b.id]) or (_removed(b),)) for b in backups)


def _count(
    good: Sequence[Known], counts: Mapping[str, int], zone: tzinfo, reasons: dict[str, list[str]]
) -> None:
    for period, of in _PERIODS:
        seen: set[tuple[int, ...]] = set()
        for backup in reversed(good):
            when = of(backup.started.astimezone(zone))
            if when not in seen and len(seen) < counts[period]:
                seen.add(when)
                reasons[backup.id].append(
                    msg("{period} {number} of {count}", period=period, number=len(seen), count=counts[period])
                )
    if good:
        reasons[good[-1].id].append(msg("the newest good one"))
    deep = [b for b in good if b.deep]
    if deep:
        reasons[deep[-1].id].append(msg("the newest that was restored on trial"))


def _removed(backup: Known) -> str:
    return msg("past every count of backup.keep") if backup.good else msg("found damaged")
