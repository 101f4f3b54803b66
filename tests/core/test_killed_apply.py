"""An `up` that is killed by SIGKILL at any step is completed by the next one, or undone by `rollback`."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from killed import POINTS, change_redis, completes, configuration, killed_at
from projects import Project, only_redis, project
from rows import each_row
from servers import tcp_open

from techsapo_ops.apply.ledger import Ledger

pytestmark = pytest.mark.needs("redis-server")


@pytest.fixture(scope="module")
def stack() -> Iterator[Project]:
    with project(only_redis(engine="native")) as made:
        made.run("up")
        yield made


@each_row("point", POINTS)
def test_an_up_that_was_killed_is_completed_by_the_next_one(stack: Project, point: str) -> None:
    app = stack.pids()["app"]
    completes(stack, point)
    assert stack.pids()["app"] == app, "what did not change was not touched"
    assert tcp_open(stack.spec["redis"]["port"])


def test_after_all_that_nothing_is_pending_and_nothing_has_drifted(stack: Project) -> None:
    stack.run("plan")
    stack.run("changes", "drift")


@each_row("point", ["writing", "prepared", "read-back"])
def test_an_up_that_was_killed_is_undone_by_rollback(stack: Project, point: str) -> None:
    before, good = configuration(stack), Ledger(stack.state).current()
    change_redis(stack)
    killed_at(stack, point, "up")
    assert "interrupted" in stack.run("changes", "drift", code=100).stdout
    done = json.loads(stack.run("rollback", "--yes", "--json").stdout)
    assert good is not None
    assert done["to"] == good.id
    assert configuration(stack) == before
    assert stack.applies()[-1].result == "ok"
