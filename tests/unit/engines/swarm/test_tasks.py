"""Waiting for the task that Swarm makes of a service, by a clock that goes on when somebody sleeps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rows import each_row

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.engines.swarm import tasks
from techsapo_ops.stack.engine import GateError

PORT = "host-mode port already in use on 1 node"
CASES: list[dict[str, Any]] = read_yaml(
    (Path(__file__).parents[3] / "cases/swarm_updates.yaml").read_text(encoding="utf-8")
)
"""What Docker says of updates of Swarm, as it was recorded."""


@each_row("case", CASES, ids=[case["name"] for case in CASES])
def test_what_holds_an_update_up_or_ended_it_is_told(case: dict[str, Any]) -> None:
    words = {
        "stuck": case["reason"],
        "paused": f"Swarm gave up: {case['reason']}",
        "rolled back": f"Swarm went back to what ran before: {case['reason']}",
    }
    assert tasks.reason(case["service"], case["tasks"]) == words.get(case["state"], "")


class Manager:
    """A Runner: a manager that has one service, recorded as `case`, or says `refusal`."""

    def __init__(self, case: dict[str, Any], refusal: str = "") -> None:
        self._case, self._refusal = case, refusal

    def run(self, command: Command, *, timeout: float = 0) -> Completed:
        """As a Runner."""
        del timeout
        if self._refusal:
            return Completed(command, 1, b"[]", self._refusal.encode())
        tasks_of = self._case["tasks"]
        said = {
            "service inspect": json.dumps([self._case["service"]]),
            "service ps": "\n".join(task["ID"] for task in tasks_of),
            "inspect --type": json.dumps(tasks_of),
        }[" ".join(command.argv[1:3])]
        return Completed(command, 0, said.encode(), b"")


def test_a_manager_is_asked_and_one_that_does_not_answer_is_no_service_that_is_well() -> None:
    stuck = next(case for case in CASES if case["name"] == "stuck-port")
    assert tasks.why_none(Docker(Manager(stuck)), "web") == stuck["reason"]
    assert tasks.why_none(Docker(Manager(stuck, "Error: no such service: web")), "web") == ""
    said = "Error response from daemon: rpc error: The swarm does not have a leader."
    assert said in tasks.why_none(Docker(Manager(stuck, said)), "web")


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
