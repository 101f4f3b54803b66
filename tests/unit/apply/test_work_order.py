"""Which steps go together, who of a cluster is asked, and when the next instance is restarted."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from fakes.memory_project import Told
from fakes.three_hosts import of
from rows import each_row

from techsapo_ops.apply.steps import RETURN_SECONDS, YOUNG_SECONDS, Rolling
from techsapo_ops.apply.work import Marks, Work, stretches, together
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.engine import Running
from techsapo_ops.stack.observed import Observed, ObservedService, State
from techsapo_ops.stack.step import Action, Step
from techsapo_ops.stack.topology import Topology


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


MEMBERS = ("mysql-a", "mysql-b", "mysql-c")


class Quiet:
    """A Running that does whatever it is told, several at the same time."""

    at_once = 8

    def perform(self, *_: Any) -> None: ...


def told_of(where: Topology, actions: dict[str, Action], fails: int = 0) -> list[str]:
    told: list[str] = []

    def ready(service: str) -> None:
        told.append(service)
        if len(told) <= fails:
            raise OpsError("the database's cluster is busy")

    marks = Marks(ready, lambda *_: None)
    running = cast("Running", Quiet())
    work = Work(
        running, Desired(where, (), ()), Observed(True, {}), Told(), marks=marks, pause=lambda _: None
    )
    work.perform([Step(action, name, "") for name, action in actions.items()], stop=False)
    assert sum(o.error is not None for o in work.outcomes) == fails
    return sorted(told)


def test_of_members_that_were_left_as_they_are_one_speaks_for_all(tmp_path: Path) -> None:
    assert len(told_of(of(tmp_path), dict.fromkeys(MEMBERS, Action.NOTHING))) == 1


def test_where_it_can_not_be_asked_the_next_one_is(tmp_path: Path) -> None:
    assert len(told_of(of(tmp_path), dict.fromkeys(MEMBERS, Action.NOTHING), fails=1)) == 2


NOW = datetime(2026, 11, 26, 5, 0, tzinfo=UTC)
OLD = YOUNG_SECONDS + 1


def ran(ages: dict[str, float], *more: ObservedService) -> Observed:
    """Instances that were started so many seconds ago, and `more`."""
    instances = [
        ObservedService(name, "app", State.RUNNING, started=NOW - timedelta(seconds=age))
        for name, age in ages.items()
    ]
    return Observed(True, {s.name: s for s in (*instances, *more)})


NGINX = ObservedService("nginx", "nginx", State.RUNNING)


def waits(before: Observed, steps: Iterable[tuple[Action, str]]) -> list[float]:
    """The pauses before these steps."""
    pauses: list[float] = []
    rolling = Rolling(before, lambda _: None, pauses.append, lambda: NOW)
    for action, name in steps:
        rolling.before(Step(action, name, ""), name.partition("-")[0])
    return pauses


def restarts(*names: str) -> list[tuple[Action, str]]:
    return [(Action.RESTART, name) for name in names]


def test_app_instances_behind_nginx_are_given_time_to_return() -> None:
    old = {"app-1": OLD, "app-2": OLD, "app-3": OLD}
    steps = restarts("redis", "app-1", "nginx", "app-2", "app-3")
    assert waits(ran(old, NGINX), steps) == [RETURN_SECONDS, RETURN_SECONDS]
    assert waits(ran(old), steps) == []


@each_row(
    "ages, steps, times",
    [
        # `up` was killed after app-1, or somebody restarted it, or it crashed and came back.
        ({"app-1": 3, "app-2": OLD}, restarts("app-2"), 1),
        ({"app-1": -60, "app-2": OLD}, restarts("app-2"), 1),  # before the clock was set back
        ({"app-1": OLD, "app-2": OLD}, restarts("app-2"), 0),
        ({"app-1": OLD, "app-2": 3}, restarts("app-2"), 0),  # nobody else is away
        ({"app-1": OLD, "app-2": 3}, restarts("app-1", "app-2"), 2),
        # `up` was killed while app-1 was down.
        ({"app-2": OLD}, [(Action.CREATE, "app-1"), *restarts("app-2")], 1),
        ({"app-1": OLD}, [(Action.NOTHING, "app-1"), *restarts("app-2")], 0),
        ({}, [(Action.CREATE, "app-1"), (Action.CREATE, "app-2")], 0),
    ],
)
def test_an_instance_that_something_else_has_just_started_is_waited_for(
    ages: dict[str, float], steps: list[tuple[Action, str]], times: int
) -> None:
    assert waits(ran(ages, NGINX), steps) == [RETURN_SECONDS] * times
