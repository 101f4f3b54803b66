"""A restart under steady simulated traffic: what users would have noticed, instance by instance."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from techsapo_ops.errors import OpsError
from techsapo_ops.operations.apply.rolling import RETURN_SECONDS
from techsapo_ops.operations.apply.stop import restart
from techsapo_ops.operations.drills.load import Load, Outcome
from techsapo_ops.operations.drills.traffic import Traffic
from techsapo_ops.stack.engine import Running


@dataclass(frozen=True, slots=True)
class Turn:
    """The time from the restart of one service to that of the next, or to the end of the traffic.

    `requests` were sent in it, `failed` of them were not answered as wanted. The gaps are the longest times,
    in seconds, without an answer and without an event of the stream.
    """

    service: str
    began: float
    ended: float
    requests: int
    failed: int
    gap: float
    stream_gap: float


@dataclass(frozen=True, slots=True)
class Probed:
    """What became of a restart. `error` is why it ended early, where it did."""

    turns: tuple[Turn, ...]
    outcome: Outcome
    error: OpsError | None = None

    @property
    def well(self) -> bool:
        """Whether nobody would have noticed: no request failed, and no stream broke off without a word."""
        return self.error is None and not self.outcome.failed_count and not self.outcome.broken


def restart_probed(
    running: Running,
    services: Sequence[str],
    load: Load,
    *,
    wait: float = 0.0,
    say: Callable[[str], None] = lambda _: None,
    pause: Callable[[float], None] = time.sleep,
) -> Probed:
    """Restart `services` as `restart` does, while the traffic of `load` runs; it goes on until nginx asks the
    last one again.

    Raises OpsError where there can be no traffic. What goes wrong later is in what it returns.
    """
    turns: list[tuple[str, float]] = []
    error: OpsError | None = None
    with Traffic(load) as traffic:
        try:
            restart(
                running, services, wait=wait, say=say, pause=pause,
                turn=lambda name: turns.append((name, traffic.now())),
            )  # fmt: skip
            pause(RETURN_SECONDS)
        except OpsError as failure:
            error = failure
    outcome = traffic.outcome()
    return Probed(tuple(_turns(turns, outcome)), outcome, error)


def _turns(turns: Sequence[tuple[str, float]], outcome: Outcome) -> list[Turn]:
    ends = [*(at for _, at in turns[1:]), outcome.seconds]
    answered = sorted(a.ended for r in outcome.finished for a in r.attempts if a.ok)
    events = sorted(at for held in outcome.streams for at in held.events)
    found = []
    for (name, began), ended in zip(turns, ends, strict=True):
        mine = [r for r in outcome.finished if began <= r.began < ended]
        failed = sum(not r.ok for r in mine)
        gaps = (_gap(times, began, ended) for times in (answered, events))
        found.append(Turn(name, began, ended, len(mine), failed, *gaps))
    return found


def _gap(times: Sequence[float], began: float, ended: float) -> float:
    """The longest time between two of `times` that lies in this part of the traffic, or reaches into it."""
    before = max((at for at in times if at < began), default=began)
    after = min((at for at in times if at >= ended), default=ended)
    points = [before, *(at for at in times if began <= at < ended), after]
    return max(b - a for a, b in pairwise(points))
