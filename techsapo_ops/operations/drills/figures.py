"""The figures of a report on what became of simulated traffic."""

from __future__ import annotations

from collections.abc import Sequence

from techsapo_ops.messages import msg
from techsapo_ops.operations.drills.load import Outcome


def counts_of(outcome: Outcome, *, lost_writes: float | None, doubled: int) -> dict[str, float | None]:
    """The counts of a report on what became of the traffic."""
    stream, latency = outcome.stream_gap, outcome.latency
    return {
        "sent": outcome.sent,
        "answered": outcome.answered,
        "failed": outcome.failed_count,
        "retried": outcome.retried,
        "lost": outcome.lost,
        "doubled": doubled,
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
