"""A machine is lost for good: what `up` says, how it is taken out, and how another one takes its place.

Four machines, of which the last is in no Swarm at first.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from typing import Any

from projects import Project
from servers import wait_for
from swarm_lab import SwarmLab, swarm_lab

from techsapo_ops.services.redis.accounts import OPERATOR, password_file
from tests.swarm.figures import Figures
from tests.swarm.ground import PROJECT, Ground, project_on

_OFF = {"enabled": False}


def prove(_: Ground, found: Figures) -> None:
    """Lose c, take it out, let it come back as a stranger, and put d in its place."""
    with ExitStack() as parts:
        lab = parts.enter_context(swarm_lab(("a", "b", "c", "d")))
        lab.docker("d", "swarm", "leave", "--force")
        wait_for(lambda: lab.nodes()["d"] == "Down", timeout=120, what="d to be gone")
        lab.docker("a", "node", "demote", "d")
        lab.docker("a", "node", "rm", "--force", "d")
        exporters = dict.fromkeys(("node", "redis", "mysqld", "nginx", "blackbox"))
        monitoring: dict[str, Any] = dict.fromkeys(("prometheus", "alertmanager", "grafana"), _OFF)
        stack = project_on(lab, parts, monitoring={**monitoring, "exporters": exporters})
        every = stack.spec["hosts"]
        stack.write(hosts={name: host for name, host in every.items() if name != "d"})
        stack.run("up", "--yes", timeout=600)
        _lost(lab, stack, found)
        _a_stranger(lab, stack)
        stack.write(hosts={name: host for name, host in every.items() if name != "c"})
        began = time.monotonic()
        stack.run("hosts", "replace", "c", "d", timeout=900)
        found.add("hosts replace c d", "s", [time.monotonic() - began])
        _whole(lab, stack)


def _lost(lab: SwarmLab, stack: Project, found: Figures) -> None:
    lab.kill("c")
    began = time.monotonic()
    said = stack.run("up", "--yes", code=1, timeout=120).stderr
    found.add("a host is lost: `up` says so", "s", [time.monotonic() - began], 30)
    found.notes.append(f"What `up` says: {' '.join(said.split())}")
    assert "`techsapo hosts replace c`" in said, said
    assert "`techsapo hosts remove c --gone`" in said, said
    assert [entry.result for entry in stack.applies()] == ["ok"], "nothing was begun"
    wait_for(lambda: lab.nodes()["c"] == "Down", timeout=180, what="c to be gone")

    def removed() -> bool:
        process = stack.popen("hosts", "remove", "c", "--gone", "--yes")
        process.communicate(timeout=120)
        return process.returncode == 0

    wait_for(removed, timeout=240, what="c to be taken out")
    assert set(lab.nodes()) == {"a", "b"}
    assert _noted(stack) == ["a", "b"]
    assert "redis-a" in stack.run("ps").stdout


def _a_stranger(lab: SwarmLab, stack: Project) -> None:
    """c is there again, as a Docker that is in no Swarm: nobody notes it as a host."""
    lab.start("c")
    lab.docker("c", "swarm", "leave", "--force", check=False)
    said = stack.run("up", "--yes", code=1, timeout=120).stderr
    assert "c is not a node of the Swarm" in said, said
    assert _noted(stack) == ["a", "b"]
    lab.kill("c")


def _noted(stack: Project) -> list[str]:
    return [host["name"] for host in json.loads((stack.state / "machines.json").read_text())["machines"]]


def _whole(lab: SwarmLab, stack: Project) -> None:
    wait_for(lambda: stack.health()["status"] == "healthy", timeout=240, what="healthy")
    stack.run("plan", timeout=120)
    assert _noted(stack) == ["a", "b", "d"]
    for host in ("a", "b", "d"):
        (sentinel,) = lab.containers(host, f"{PROJECT}_sentinel-")
        password = password_file(stack.layout, OPERATOR).read_text().strip()
        ask = ("redis-cli", "-h", lab.machines[host].address, "-p", "26379", "--tls", "--insecure")
        login = ("exec", "--env", f"REDISCLI_AUTH={password}", sentinel, *ask, "--user", OPERATOR)
        words = lab.docker(host, *login, "SENTINEL", "MASTER", PROJECT).stdout.splitlines()
        told = dict(zip(words[::2], words[1::2], strict=False))
        assert (told["num-other-sentinels"], told["num-slaves"]) == ("2", "2"), told
