"""How long app instances behind nginx are given before the next one is restarted."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from rows import each_row

from techsapo_ops.operations.apply.rolling import RETURN_SECONDS, YOUNG_SECONDS, Rolling
from techsapo_ops.stack.observed import Observed, ObservedService, State
from techsapo_ops.stack.step import Action, Step

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
