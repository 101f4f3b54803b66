"""The figures of a report on what became of simulated traffic."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from techsapo_ops.messages import msg
from techsapo_ops.operations.drills.load import Outcome

LOSING = 2.0
"""Seconds that it takes at most until what is taken away is gone."""


@dataclass(frozen=True, slots=True)
class Twice:
    """Ids that were carried out twice, and those of which that is what remains of a loss.

    `redone` were under way where it was lost: written down there, and their answer kept nowhere else yet. Who
    sent them again has one answer.
    """

    doubled: tuple[str, ...]
    redone: tuple[str, ...] = ()

    def notes(self) -> Iterator[str]:
        """What there is to say of them."""
        if self.doubled:
            yield msg("carried out twice: {some}", some=some(self.doubled))
        if self.redone:
            yield msg(
                "carried out again, as nobody knew an answer: {some}; under way where it was lost",
                some=some(self.redone),
            )


def twice(outcome: Outcome, rows: Collection[str], lost: float) -> Twice:
    """What `rows` of the audit log, ids that have two, come to where something was lost at `lost`."""
    answered = set(outcome.doubled)
    redone = set(rows) & outcome.under_way(lost, lost + LOSING) - answered
    return Twice(tuple(sorted(answered | set(rows) - redone)), tuple(sorted(redone)))


def counts_of(outcome: Outcome, *, lost_writes: float | None, twice: Twice) -> dict[str, float | None]:
    """The counts of a report on what became of the traffic."""
    stream, latency = outcome.stream_gap, outcome.latency
    return {
        "sent": outcome.sent,
        "answered": outcome.answered,
        "failed": outcome.failed_count,
        "retried": outcome.retried,
        "lost": outcome.lost,
        "doubled": len(twice.doubled),
        "redone": len(twice.redone),
        "lost_writes": lost_writes,
        "unfinished": outcome.unfinished,
        "longest_gap": round(outcome.gap.seconds, 3),
        "longest_stream_gap": None if stream is None else round(stream.seconds, 3),
        "streams_broken": outcome.broken,
        "latency_median": None if latency is None else round(latency.median, 3),
        "latency_longest": None if latency is None else round(latency.longest, 3),
    }


def some(names: Sequence[str]) -> str:
    """The first five of them, and how many more."""
    more = msg(" and {count} more", count=len(names) - 5) if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
