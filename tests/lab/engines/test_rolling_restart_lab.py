"""App instances behind nginx are restarted one after the other, and nobody notices."""

from __future__ import annotations

import http.client
import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from front_requests import asked
from projects import Installed, Project, installed_copy, only_redis, project
from servers import free_port, tcp_open, wait_for

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """A package of the stack's own, whose code the tests change."""
    made = installed_copy(tmp_path_factory.mktemp("installed"))
    # A restart of nginx that waited for open streams would not come to its end here.
    made.edit("services/nginx/balancing.py", "SHUTDOWN_SECONDS = 20", "SHUTDOWN_SECONDS = 3600")
    # Each restart waits that long, with the same half a second to spare.
    made.edit("../templates/nginx/nginx.conf.j2", "fail_timeout=5s", "fail_timeout=1s")
    made.edit("apply/steps.py", "RETURN_SECONDS = 6.5", "RETURN_SECONDS = 2.5")
    return made


@pytest.fixture(scope="module")
def stack(installed: Installed) -> Iterator[Project]:
    spec = only_redis(engine="native", nginx={"listen": free_port()})
    spec["app"] = {
        # The hardest case: instances go at once, come back while nginx still passes over them, and while
        # one is away there is a single other.
        "drain": "0s",
        "instances": [{"port": free_port(), "weight": 3}, {"port": free_port(), "weight": 2}],
    }
    with project(spec, python=installed.python) as made:
        made.run("up")
        yield made


def instances(stack: Project, path: str) -> list[dict[str, Any]]:
    """What each instance answers."""
    found = []
    for instance in stack.spec["app"]["instances"]:
        with urllib.request.urlopen(f"http://127.0.0.1:{instance['port']}{path}", timeout=60) as answer:
            found.append(json.loads(answer.read()))
    return found


def listed(stack: Project) -> tuple[str, dict[str, str | None]]:
    """What `techsapo ps` says is installed, and what each service runs."""
    value = json.loads(stack.run("ps", "--json").stdout)
    return value["build"], {s["service"]: s["build"] for s in value["services"]}


def actions(steps: list[dict[str, Any]]) -> dict[str, str]:
    return {s["service"]: s["action"] for s in steps}


RESTARTED = {"redis": "nothing", "app-1": "restart", "app-2": "restart", "nginx": "nothing"}


def test_changed_code_reaches_what_runs_and_every_command_tells_so(
    stack: Project, installed: Installed
) -> None:
    before, (old, runs) = stack.pids(), listed(stack)
    assert runs == {"redis": None, "app-1": old, "app-2": old, "nginx": None, "scheduler": old}
    scheduler = (stack.state / "run/scheduler.build").read_text()
    installed.edit("serve/metrics/health.py", "detail = {} if", 'detail = {"detail": "fixed"} if')

    new, runs = listed(stack)
    assert (new != old, set(runs.values())) == (True, {None, old})
    shown_by_ps = stack.run("ps").stderr
    for name in ("app-1", "app-2", "scheduler"):
        assert f"{name}: does not run the installed build {new}: different code\n" in shown_by_ps
    health = stack.health()
    assert health["build"] == new
    shown = {p["name"]: p for p in health["probes"] if p["kind"] == "app"}
    assert {(p["build"], p["status"], p["hint"]) for p in shown.values()} == {
        (old, "healthy", "`techsapo up`")
    }
    plan = json.loads(stack.run("plan", "--json", code=100).stdout)
    assert (plan["files"], actions(plan["steps"])) == ([], {"scheduler": "restart", **RESTARTED})
    assert {tuple(s["origin"]) for s in plan["steps"] if s["action"] == "restart"} == {("version",)}
    said = stack.run("plan", code=100).stdout
    assert f"runs {old}, but {new} is installed (different code)  (a new version)" in said

    with asked(stack) as counts:
        done = actions(json.loads(stack.run("up", "--json").stdout)["steps"])
    assert done == {"scheduler": "restart", **RESTARTED}, "what was planned"
    after = stack.pids()
    assert set(counts) == {"200"}, counts
    assert counts["200"] > 100
    assert {n for n in after if after[n] != before[n]} == {"app-1", "app-2", "scheduler"}
    assert [(a["build"], a["detail"]) for a in instances(stack, "/health")] == [(new, "fixed")] * 2
    assert [a["build"] for a in instances(stack, "/api/v1/health")] == [new] * 2
    assert set(listed(stack)[1].values()) == {None, new}
    wait_for(lambda: (stack.state / "run/scheduler.build").read_text().endswith(f"{new}\n"), what="its note")
    assert (stack.state / "run/scheduler.build").read_text() != scheduler
    assert "up to date" in stack.run("up").stderr
    assert stack.pids() == after
    assert stack.applies()[-1].version == new


def test_an_instance_that_the_supervisor_started_again_tells_the_code_of_that_moment(
    stack: Project, installed: Installed
) -> None:
    old, _ = listed(stack)
    installed.edit("serve/metrics/health.py", '"detail": "fixed"', '"detail": "twice"')
    pid = stack.pids()["app-2"]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    new, _ = listed(stack)
    wait_for(lambda: stack.pids()["app-2"] not in {None, pid}, what="app-2 again")
    wait_for(lambda: tcp_open(stack.spec["app"]["instances"][1]["port"]), what="app-2 answers")
    assert [each["build"] for each in instances(stack, "/health")] == [old, new]
    runs = listed(stack)[1]
    assert (runs["app-1"], runs["app-2"]) == (old, new)
    plan = json.loads(stack.run("plan", "--json", code=100).stdout)
    assert actions(plan["steps"]) == RESTARTED | {"app-2": "nothing", "scheduler": "restart"}


def test_a_new_version_that_does_not_start_takes_one_instance_down_and_not_all(
    stack: Project, installed: Installed
) -> None:
    before, file = stack.pids(), Path("serve/instance.py")
    installed.edit(str(file), "from __future__", "raise SystemExit('broken on purpose')\nfrom __future__")
    with asked(stack) as counts:
        failed = stack.run("up", "--timeout", "10", code=1)
    assert "app-2 stays as it was, because app-1 did not start" in failed.stderr
    assert stack.pids()["app-2"] == before["app-2"]
    assert set(counts) == {"200"}, counts
    installed.edit(str(file), "raise SystemExit('broken on purpose')\n", "")
    assert actions(json.loads(stack.run("up", "--json").stdout)["steps"])["app-2"] == "nothing"
    assert stack.run("plan").stdout == "up to date\n"


def test_nginx_is_back_while_a_stream_that_was_open_has_not_ended_by_itself(stack: Project) -> None:
    front = f"http://127.0.0.1:{stack.spec['nginx']['listen']}"
    before = stack.pids()
    with urllib.request.urlopen(f"{front}/api/v1/metrics/stream", timeout=60) as held:
        assert held.readline()
        stack.run("restart", "nginx")
        with urllib.request.urlopen(f"{front}/ping", timeout=60) as answer:
            assert answer.status == 200
        with suppress(http.client.IncompleteRead):  # it was cut off: no last chunk
            while held.readline():
                pass
    after = stack.pids()
    assert {name for name in after if after[name] != before[name]} == {"nginx"}
