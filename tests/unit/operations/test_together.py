"""Steps that disturb nothing are performed at the same time, in the order of what they need."""

from __future__ import annotations

import threading

import pytest

from techsapo_ops.errors import OpsError
from techsapo_ops.operations.apply.work import stretches, together
from techsapo_ops.stack.step import Action, Step


def steps(*names: str, action: Action = Action.CREATE) -> list[Step]:
    return [Step(action, name, "") for name in names]


def test_services_that_are_started_go_together_and_everything_else_goes_alone() -> None:
    plan = [
        *steps("old", action=Action.REMOVE),
        *steps("redis", "mysql"),
        *steps("app-1", "app-2", action=Action.RESTART),
        *steps("nginx", action=Action.NOTHING),
        *steps("prometheus"),
    ]
    parts = [[step.service for step in part] for part in stretches(plan, 4)]
    assert parts == [["old"], ["redis", "mysql"], ["app-1"], ["app-2"], ["nginx", "prometheus"]]
    assert all(len(part) == 1 for part in stretches(plan, 1))


def test_a_service_begins_when_what_it_comes_after_has_ended_and_independent_ones_overlap() -> None:
    both = threading.Barrier(2, timeout=10)
    events: list[str] = []

    def perform(step: Step) -> str:
        events.append(f"{step.service} begins")
        if step.service in {"redis", "mysql"}:
            both.wait()  # breaks, and fails the test, unless both are there at the same time
        events.append(f"{step.service} ends")
        return step.service

    after = {"app": ("redis", "mysql", "not in the stack"), "nginx": ("app",)}
    ended = list(together(steps("redis", "mysql", "app", "nginx"), after, perform, at_once=4))
    assert sorted(ended[:2]) == ["mysql", "redis"]
    assert ended[2:] == ["app", "nginx"]
    begun = events.index("app begins")
    assert {"redis ends", "mysql ends"} <= set(events[:begun])
    assert events.index("nginx begins") > events.index("app ends")


def test_no_more_than_the_limit_run_at_the_same_time() -> None:
    now, most, lock = 0, 0, threading.Lock()

    def perform(step: Step) -> str:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        threading.Event().wait(0.01)
        with lock:
            now -= 1
        return step.service

    names = [f"s{n}" for n in range(7)]
    assert sorted(together(steps(*names), {}, perform, at_once=3)) == names
    assert most == 3


def test_after_a_failure_nothing_more_begins_and_what_had_begun_is_still_told() -> None:
    slow = threading.Event()
    ended: list[str] = []

    def perform(step: Step) -> str:
        if step.service == "mysql":
            assert slow.wait(10)
        return step.service

    for name in together(
        steps("redis", "mysql", "app"),
        {"app": ("redis",)},
        perform,
        at_once=2,
        go_on=lambda: "redis" not in ended,
    ):
        ended.append(name)
        slow.set()
    assert ended == ["redis", "mysql"]


def test_what_is_raised_comes_out_in_the_callers_thread_after_the_others_have_ended() -> None:
    ended: list[str] = []

    def perform(step: Step) -> str:
        if step.service == "mysql":
            raise OpsError("the disk is full")
        threading.Event().wait(0.02)
        return step.service

    def run() -> None:
        for name in together(steps("redis", "mysql", "app"), {"app": ("mysql",)}, perform, at_once=3):
            ended.append(name)  # noqa: PERF402 - kept also when it raises

    with pytest.raises(OpsError, match="disk is full"):
        run()
    assert ended == ["redis"]
