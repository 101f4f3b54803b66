"""Waiting for the task that Swarm makes of a service, by a clock that goes on when somebody sleeps."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.engines.swarm import tasks
from techsapo_ops.stack.engine import GateError

PORT = "host-mode port already in use on 1 node"


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(tasks, "time", made)
    return made


def placed_after(clock: Clock, seconds: float) -> Callable[[], ContainerFacts | None]:
    """A look that finds a container once so many seconds have gone."""
    until = clock.now + seconds
    return lambda: object() if clock.now >= until else None  # type: ignore[return-value] # any will do


def test_a_reason_that_stays_is_the_last_word(clock: Clock) -> None:
    with pytest.raises(GateError, match=PORT):
        tasks.wait_placed("web", placed_after(clock, 60), lambda: PORT, 60)
    assert clock.now < 110


def test_a_reason_that_passes_is_none(clock: Clock) -> None:
    """The place was freed, and Swarm has not yet looked again."""
    began = clock.now
    tasks.wait_placed("web", placed_after(clock, 6), lambda: PORT if 1 < clock.now - began < 4 else "", 60)


def test_one_that_drains_for_long_is_waited_for(clock: Clock) -> None:
    tasks.wait_placed("web", placed_after(clock, 27), lambda: "", 60)


def test_swarm_is_not_asked_at_every_look(clock: Clock) -> None:
    asked: list[float] = []

    def why() -> str:
        asked.append(clock.now)
        return ""

    tasks.wait_placed("web", placed_after(clock, 10), why, 60)
    assert 3 < len(asked) < 8


def test_it_is_not_waited_for_without_end(clock: Clock) -> None:
    with pytest.raises(GateError, match="no container within 60 s"):
        tasks.wait_placed("web", placed_after(clock, 100), lambda: "", 60)
