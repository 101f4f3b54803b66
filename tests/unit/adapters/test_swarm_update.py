"""What Docker says of updates of Swarm, as it was recorded, and what that comes to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rows import each_row

from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.adapters.swarm_update import Progress, UpdateState, update_state, update_states
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.errors import OpsError

CASES: list[dict[str, Any]] = read_yaml(
    (Path(__file__).parents[2] / "cases/swarm_updates.yaml").read_text(encoding="utf-8")
)

ASKED = Command(())


@each_row("case", CASES, ids=[case["name"] for case in CASES])
def test_an_update_is_where_swarm_says_and_what_holds_it_up_is_told(case: dict[str, Any]) -> None:
    found = update_state(case["service"], case["tasks"])
    assert (found.progress, found.reason) == (Progress(case["state"]), case["reason"])


def test_whoever_waits_for_one_that_is_stuck_or_given_up_can_stop() -> None:
    over = {case["name"] for case in CASES if update_state(case["service"], case["tasks"]).over}
    assert {case["name"] for case in CASES} - over == {
        "draining",
        "updating",
        "unhealthy-updating",
        "rolling-back",
    }


def test_one_that_is_stuck_is_so_since_its_task_was_made() -> None:
    case = next(case for case in CASES if case["name"] == "stuck-port")
    since = update_state(case["service"], case["tasks"]).since
    assert since is not None
    assert since.isoformat().startswith("2026-11-27T14:59:58")


class Manager:
    """Answers as the client does for the services that are there."""

    def __init__(self, answer: Callable[[tuple[str, ...]], Completed]) -> None:
        self._answer = answer

    def run(self, command: Command, *, timeout: float = 0) -> Completed:
        del timeout
        return self._answer(command.argv[1:])


def states(answer: Callable[[tuple[str, ...]], Completed], *services: str) -> dict[str, UpdateState]:
    return update_states(Docker(Manager(answer)), services)  # type: ignore[arg-type] # a runner that only runs


def test_services_are_told_apart_and_one_that_is_gone_is_left_out() -> None:
    made = {c["name"]: c for c in CASES if c["name"] in {"stuck-port", "completed"}}
    tasks = [{**task, "ServiceID": case["service"]["ID"]} for case in made.values() for task in case["tasks"]]

    def answer(words: tuple[str, ...]) -> Completed:
        if words[:2] == ("service", "inspect"):
            there = json.dumps([case["service"] for case in made.values()]).encode()
            return Completed(ASKED, 1, there, b"Error: no such service: gone")
        if words[:2] == ("service", "ps"):
            assert "gone" not in words
            return Completed(ASKED, 0, "\n".join(task["ID"] for task in tasks).encode(), b"")
        assert words[:3] == ("inspect", "--type", "task")
        return Completed(ASKED, 0, json.dumps(tasks).encode(), b"")

    found = states(answer, "web", "app", "gone")
    assert {name: state.progress for name, state in found.items()} == {
        "web": Progress.STUCK,
        "app": Progress.CONVERGED,
    }


def test_a_manager_that_does_not_answer_is_no_service_that_is_well() -> None:
    refused = Completed(
        ASKED, 1, b"[]", b"Error response from daemon: rpc error: The swarm does not have a leader."
    )
    with pytest.raises(OpsError, match="does not have a leader"):
        states(lambda _: refused, "web")
