"""What became of simulated requests."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a request. Times are seconds since the traffic began; `reason` is "" for an answer."""

    began: float
    ended: float
    status: int
    reason: str
    instance: str = ""
    execution: str = ""

    @property
    def ok(self) -> bool:
        """Whether it was answered as wanted."""
        return not self.reason


@dataclass(slots=True)
class Request:
    """One request of an id, with all its tries so far."""

    id: str
    began: float
    attempts: list[Attempt] = field(default_factory=list)
    done: bool = False

    @property
    def ok(self) -> bool:
        """Whether it was answered as wanted in the end."""
        return bool(self.attempts) and self.attempts[-1].ok


@dataclass(frozen=True, slots=True)
class Gap:
    """The longest time without an answer: `seconds` of it, from `at` on (since the traffic began)."""

    seconds: float
    at: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of all requests within `seconds`."""

    seconds: float
    requests: tuple[Request, ...]

    @property
    def finished(self) -> tuple[Request, ...]:
        """The requests that came to an end."""
        return tuple(r for r in self.requests if r.done)

    @property
    def unfinished(self) -> int:
        """How many were under way when the traffic was ended."""
        return len(self.requests) - len(self.finished)

    @property
    def answered(self) -> tuple[str, ...]:
        """Ids that were answered as wanted: each must have a row of the audit log."""
        return tuple(r.id for r in self.finished if r.ok)

    @property
    def failed(self) -> Mapping[str, int]:
        """How many were not answered as wanted in the end, by reason."""
        return Counter(r.attempts[-1].reason for r in self.finished if not r.ok)

    @property
    def failed_count(self) -> int:
        """How many were not, in all."""
        return sum(self.failed.values())

    @property
    def retried(self) -> int:
        """How many had to be sent again."""
        return sum(len(r.attempts) > 1 for r in self.finished)

    @property
    def doubled(self) -> tuple[str, ...]:
        """Ids whose answers tell that they were carried out twice."""
        return tuple(r.id for r in self.requests if len({a.execution for a in r.attempts if a.execution}) > 1)

    @property
    def gap(self) -> Gap:
        """The longest time in which no request was answered as wanted."""
        times = sorted(a.ended for r in self.finished for a in r.attempts if a.ok)
        points = [0.0, *times, max(self.seconds, times[-1] if times else 0.0)]
        at, until = max(pairwise(points), key=lambda pair: pair[1] - pair[0])
        return Gap(until - at, at)

    @property
    def longest(self) -> float | None:
        """Seconds until the slowest request was answered, the tries before included; None for none."""
        return max((r.attempts[-1].ended - r.began for r in self.finished if r.ok), default=None)

    def under_way(self, since: float, until: float) -> frozenset[str]:
        """Ids of requests that were under way at any moment from `since` to `until`."""
        return frozenset(
            r.id
            for r in self.requests
            if r.began <= until and not (r.done and r.attempts and r.attempts[-1].ended < since)
        )

    def settled_after(self, moment: float, until: float = math.inf) -> float | None:
        """Seconds from `moment` until answers came again for good: the first after the last failed try.

        Where no try failed, until the first answer to a request that was sent after it. None: none came. A
        try that failed after `until` has another cause.
        """
        tries: Sequence[Attempt] = sorted(
            (a for r in self.requests for a in r.attempts), key=lambda attempt: attempt.ended
        )
        failed = max((a.ended for a in tries if not a.ok and moment <= a.ended < until), default=None)
        after = (
            a.ended for a in tries if a.ok and (a.began >= moment if failed is None else a.ended >= failed)
        )
        first = next(after, None)
        return None if first is None else max(0.0, first - moment)
