"""What simulated traffic consists of, and what became of it."""

from __future__ import annotations

import math
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from techsapo_ops.adapters.tls_trust import SYSTEM, Trust
from techsapo_ops.spec.secret import Secret

Kind = Literal["get", "post"]
NAME = "drill-"
"""How the id of each request begins; then the run's own name, and a number."""


def fresh_run() -> str:
    """The name of a new run."""
    return secrets.token_hex(4)


@dataclass(frozen=True, slots=True)
class Load:
    """Requests to `url` (nginx, or the app where none runs), `rate` a second for at most `seconds`.

    `key` is the app's: it proves that they are a drill's. At most `most` requests are sent. `kinds` take
    turns. A POST takes the app `work` seconds, and carries its id as Idempotency-Key. Each request that gets
    no answer, or 502, 503 or 504, is sent again, `retries` times, each `again_after` seconds later. `streams`
    are held open beside them.
    """

    url: str
    key: Secret = field(repr=False)
    rate: float = 10.0
    seconds: float = 60.0
    most: int = 20_000
    kinds: tuple[Kind, ...] = ("get", "post")
    streams: int = 1
    retries: int = 1
    again_after: float = 0.5
    work: float = 0.3
    timeout: float = 10.0
    trust: Trust = SYSTEM
    run: str = field(default_factory=fresh_run)

    @property
    def prefix(self) -> str:
        """How the id of each of its requests begins."""
        return f"{NAME}{self.run}-"


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

    @property
    def answered(self) -> bool:
        """Whether there was an answer at all."""
        return self.status > 0


@dataclass(slots=True)
class Request:
    """One request of an id, with all its tries so far."""

    id: str
    kind: Kind
    began: float
    attempts: list[Attempt] = field(default_factory=list)
    done: bool = False

    @property
    def ok(self) -> bool:
        """Whether it was answered as wanted in the end."""
        return bool(self.attempts) and self.attempts[-1].ok


@dataclass(slots=True)
class Held:
    """A stream that is held open, again and again: when each event came, and how often it broke off."""

    events: list[float] = field(default_factory=list)
    broken: int = 0
    ended: int = 0
    """How often it was ended by the instance, which says so, as one does that drains."""
    reasons: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Gap:
    """The longest time without an answer: `seconds` of it, from `at` on (since the traffic began)."""

    seconds: float
    at: float


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds until requests were answered, the tries before included."""

    median: float
    longest: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of all requests of one run.

    `failed` are those that were not answered as wanted in the end, by reason; `lost` those of them that got
    no answer at all. `retried` had to be sent again. `doubled` were carried out twice, as far as the answers
    tell. `unfinished` were under way when the traffic was ended.
    """

    run: str
    seconds: float
    requests: tuple[Request, ...]
    streams: tuple[Held, ...]

    @property
    def finished(self) -> tuple[Request, ...]:
        """The requests that came to an end."""
        return tuple(r for r in self.requests if r.done)

    @property
    def sent(self) -> int:
        """How many requests came to an end."""
        return len(self.finished)

    @property
    def unfinished(self) -> int:
        """How many did not."""
        return len(self.requests) - self.sent

    @property
    def answered(self) -> int:
        """How many were answered as wanted."""
        return sum(r.ok for r in self.finished)

    @property
    def failed(self) -> Mapping[str, int]:
        """How many were not, by reason."""
        return Counter(r.attempts[-1].reason for r in self.finished if not r.ok)

    @property
    def failed_count(self) -> int:
        """How many were not, in all."""
        return sum(self.failed.values())

    @property
    def lost(self) -> int:
        """How many got no answer at all."""
        return sum(not any(a.answered for a in r.attempts) for r in self.finished)

    @property
    def retried(self) -> int:
        """How many had to be sent again."""
        return sum(len(r.attempts) > 1 for r in self.finished)

    @property
    def doubled(self) -> tuple[str, ...]:
        """Ids whose answers tell that they were carried out twice."""
        return tuple(r.id for r in self.requests if len({a.execution for a in r.attempts if a.execution}) > 1)

    def under_way(self, since: float, until: float) -> frozenset[str]:
        """Ids of requests that were under way at any moment from `since` to `until`."""
        return frozenset(
            r.id
            for r in self.requests
            if r.began <= until and not (r.done and r.attempts and r.attempts[-1].ended < since)
        )

    @property
    def written(self) -> tuple[str, ...]:
        """Ids that the app says to have carried out: each must have a row of the audit log."""
        return tuple(r.id for r in self.finished if r.kind == "post" and r.ok)

    @property
    def gap(self) -> Gap:
        """The longest time in which no request was answered as wanted."""
        times = sorted(a.ended for r in self.finished for a in r.attempts if a.ok)
        return _longest(times, self.seconds)

    @property
    def stream_gap(self) -> Gap | None:
        """The longest time without an event of a stream; None where none was held."""
        gaps = [_longest(held.events, self.seconds) for held in self.streams]
        return max(gaps, key=lambda gap: gap.seconds, default=None)

    @property
    def broken(self) -> int:
        """How often a stream broke off."""
        return sum(held.broken for held in self.streams)

    @property
    def latency(self) -> Latency | None:
        """How long answers took; None where there were none."""
        taken = sorted(r.attempts[-1].ended - r.began for r in self.finished if r.ok)
        if not taken:
            return None
        return Latency(taken[len(taken) // 2], taken[-1])

    @property
    def instances(self) -> Mapping[str, int]:
        """How many answers each instance gave."""
        return Counter(a.instance for r in self.finished for a in r.attempts if a.ok and a.instance)

    def settled_after(self, moment: float, until: float = math.inf) -> float | None:
        """Seconds from `moment` until answers came again for good: the first after the last failed try.

        Where no try failed, until the first answer to a request that was sent after it. None: none came. A
        try that failed after `until` has another cause.
        """
        tries = sorted((a for r in self.requests for a in r.attempts), key=lambda a: a.ended)
        failed = max((a.ended for a in tries if not a.ok and moment <= a.ended < until), default=None)
        after = (
            a.ended for a in tries if a.ok and (a.began >= moment if failed is None else a.ended >= failed)
        )
        first = next(after, None)
        return None if first is None else max(0.0, first - moment)

    def instance_after(self, instance: str, moment: float) -> float | None:
        """Seconds from `moment` until `instance` answered a request that was sent later; None: never."""
        came = (
            a.ended
            for r in self.requests
            for a in r.attempts
            if a.ok and a.instance == instance and a.began > moment
        )
        first = min(came, default=None)
        return None if first is None else first - moment

    def seconds_of(self) -> Sequence[tuple[int, int]]:
        """By each second of the run: tries that were answered as wanted, and tries that failed."""
        columns = [[0, 0] for _ in range(int(self.seconds) + 1)]
        for request in self.requests:
            for attempt in request.attempts:
                columns[min(int(attempt.ended), len(columns) - 1)][0 if attempt.ok else 1] += 1
        return [(good, bad) for good, bad in columns]


def _longest(times: Sequence[float], end: float) -> Gap:
    """The longest gap between 0, `times` in order, and `end`."""
    points = [0.0, *times, max(end, times[-1] if times else 0.0)]
    at, until = max(pairwise(points), key=lambda pair: pair[1] - pair[0])
    return Gap(until - at, at)
