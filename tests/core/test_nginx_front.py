"""nginx in front of two instances: what is restarted or killed behind it, no reader notices."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator

import pytest
from front_requests import asked
from projects import Project, only_redis, project
from servers import free_port, wait_for

pytestmark = pytest.mark.needs("redis-server", "nginx")


@pytest.fixture(scope="module")
def stack() -> Iterator[Project]:
    spec = only_redis(nginx={"listen": free_port()})
    # The hardest case: an instance goes at once, and while it is away there is a single other.
    spec["app"] = {"drain": "0s", "instances": [{"port": free_port()}, {"port": free_port()}]}
    with project(spec) as made:
        made.run("up")
        yield made


def test_no_get_fails_while_instances_are_restarted_in_turn(stack: Project) -> None:
    before = stack.pids()
    stack.write(wallbounce={"consensus": 0.55})
    with asked(stack) as counts:
        done = json.loads(stack.run("up", "--json").stdout)
    after = stack.pids()
    changed = {s["service"]: s["action"] for s in done["steps"] if s["action"] != "nothing"}
    assert changed == {"app-1": "restart", "app-2": "restart"}
    assert {s["service"]: s["origin"] for s in done["steps"] if s["origin"]} == {
        "app-1": ["spec"],
        "app-2": ["spec"],
    }
    assert {n for n in after if after[n] != before[n]} == {"app-1", "app-2"}
    assert set(counts) == {"200"}, counts
    assert counts["200"] > 100


def test_no_get_fails_when_an_instance_is_killed(stack: Project) -> None:
    killed = stack.pids()["app-1"]
    assert killed is not None
    with asked(stack) as counts:
        os.kill(killed, signal.SIGKILL)
        wait_for(lambda: stack.pids()["app-1"] not in {None, killed}, what="app-1 again")
    assert set(counts) == {"200"}, counts
