"""A command that changes the stack is killed at a step; the next one, of any host, completes or undoes it.

Two project folders with the same spec, on machines a and b. The one on b never ran the stack before.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from killed import FAULT_POINT
from projects import Project
from servers import wait_for

from tests.swarm.figures import Figures
from tests.swarm.ground import PROJECT, Ground, whole

_OFF = {"enabled": False}
_NO_EXPORTERS = dict.fromkeys(("node", "redis", "mysqld", "nginx", "blackbox"))
_FREE_AFTER = "100"
"""Seconds to wait for the lease of a command that was killed on another machine; it ends after a minute."""


def prove(ground: Ground, found: Figures) -> None:
    """Kill it while images are copied, after configs, among services, before read-back, before the end."""
    case = Case(ground)
    try:
        case.first_up_is_completed_by_another_host(found)
        case.completed("configs", "a", "b", found)
        case.undone("changed:redis-b", "b", "a", found)
        case.completed("read-back", "a", "a", found)
        case.completed("recorded", "b", "a", found)
        case.a_host_that_fails_takes_all_back(found)
        case.interrupted(found)
        case.taken_down(found)
    finally:
        case.remove()


@dataclass
class Case:
    """Both folders, with the same spec; `memory` is what changes from one apply to the next."""

    ground: Ground
    folders: dict[str, Project] = field(default_factory=dict)
    memory: int = 100

    def __post_init__(self) -> None:
        monitoring = {
            **dict.fromkeys(("prometheus", "alertmanager", "grafana"), _OFF),
            "exporters": _NO_EXPORTERS,
        }
        for host in "ab":
            top = Path(tempfile.mkdtemp(prefix="techsapo-coordinator-")) / PROJECT
            top.mkdir()
            spec = self.ground.lab.spec(**whole(monitoring=monitoring))
            self.folders[host] = Project(top, spec, launcher=self.ground.lab.enter(host))

    def remove(self) -> None:
        for project in self.folders.values():
            shutil.rmtree(project.directory.parent)

    def change(self) -> None:
        """Another configuration of Redis, in both folders."""
        self.memory += 1
        for project in self.folders.values():
            project.write(redis={"maxmemory": f"{self.memory}M"})

    def killed(self, host: str, point: str, *arguments: str) -> None:
        project = self.folders[host]
        argv = [*project.launcher, sys.executable, str(FAULT_POINT), point, *arguments]
        done = subprocess.run(
            argv, cwd=project.directory, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == -signal.SIGKILL, (point, done.returncode, done.stdout + done.stderr)

    def first_up_is_completed_by_another_host(self, found: Figures) -> None:
        self.killed("a", "loading", "up", "--yes")
        self._goes_on("b", "a", "first up, killed while an image was copied", ("up", "--yes"), found)
        self.well("b")

    def completed(self, point: str, killed: str, host: str, found: Figures) -> None:
        """Killed on one machine, `up` on `host` completes it."""
        before = self.numbers(host)
        self.change()
        self.killed(killed, point, "up", "--yes")
        self._goes_on(host, killed, f"{point}: up", ("up", "--yes"), found)
        self.well(host)
        assert self.redis_has(f"{self.memory}mb"), "what was asked for runs"
        self._history(host, before, "ok")

    def undone(self, point: str, killed: str, host: str, found: Figures) -> None:
        """Killed on one machine, `rollback` on `host` undoes it."""
        before, good = self.numbers(host), self.memory
        self.change()
        self.killed(killed, point, "up", "--yes")
        self._goes_on(host, killed, f"{point}: rollback", ("rollback", "--yes"), found)
        self.memory = good
        for project in self.folders.values():
            project.write(redis={"maxmemory": f"{good}M"})
        self.well(host)
        assert self.redis_has(f"{good}mb"), "what was before runs"
        self._history(host, before, "ok")

    def _goes_on(self, host: str, killed: str, what: str, arguments: tuple[str, ...], found: Figures) -> None:
        began = time.monotonic()
        done = self.folders[host].run(*arguments, "--wait", _FREE_AFTER, "--verbose", timeout=700)
        took = time.monotonic() - began
        print(f"{what}, killed on {killed}, went on at {host}: {took:.0f} s", flush=True)
        found.add(f"{what}, {'same' if host == killed else 'another'} host", "s", [took])
        assert f"on host {killed} (pid" in done.stderr, done.stderr
        assert "was interrupted" in done.stderr, done.stderr

    def _history(self, host: str, before: list[int], result: str) -> None:
        numbers = self.numbers(host)
        entries = [e for e in self.folders[host].applies() if e.id not in before]
        assert numbers == list(range(1, len(numbers) + 1)), numbers
        assert entries[-1].result == result, entries
        assert [e.result for e in entries[:-1]] in ([], ["failed"]), entries

    def numbers(self, host: str) -> list[int]:
        return [entry.id for entry in self.folders[host].applies()]

    def well(self, host: str) -> None:
        """By both folders nothing is to be done, all is healthy, nothing is there twice or left over."""
        for project in (self.folders[host], *self.folders.values()):
            project.run("plan", timeout=180)
        wait_for(lambda: self.folders[host].health()["status"] == "healthy", timeout=240, what="healthy")
        lab = self.ground.lab
        running = Counter(
            name.rpartition(f"{PROJECT}_")[2].partition(".")[0]
            for machine in lab.machines
            for name in lab.containers(machine, f"{PROJECT}_")
        )
        assert set(running.values()) == {1}, running
        listed = lab.docker("a", "service", "ls", "--format", "{{.Name}}").stdout.split()
        assert {name.removeprefix(f"{PROJECT}_") for name in listed} == set(running), listed
        self.free()
        self.pruned()

    def free(self) -> None:
        held = self.ground.lab.docker("a", "config", "ls", "--format", "{{.Name}}").stdout
        assert ".lease." not in held, held

    def pruned(self) -> None:
        """Configs and secrets are those of the last two applies, which both are used or were just before."""
        noted = json.loads((self.folders["a"].state / "objects.json").read_text())
        assert len(noted) <= 2
        for kind in ("config", "secret"):
            options = ("--filter", f"label=com.docker.stack.namespace={PROJECT}", "--format", "{{.Name}}")
            there = set(self.ground.lab.docker("a", kind, "ls", *options).stdout.split())
            assert there <= {name for each in noted for name in each[f"{kind}s"]}, (kind, there)

    def redis_has(self, memory: str) -> bool:
        lab = self.ground.lab
        said = [
            lab.docker(host, "exec", *lab.containers(host, f"{PROJECT}_redis-"), "sh", "-c",
                       "cat /etc/techsapo/redis/redis.conf /etc/techsapo/redis/*/redis.conf 2>/dev/null",
                       check=False).stdout
            for host in lab.machines
        ]  # fmt: skip
        number = int(memory.removesuffix("mb"))
        return all(f"maxmemory {number}" in text or f"maxmemory {number << 20}" in text for text in said)

    def a_host_that_fails_takes_all_back(self, found: Figures) -> None:
        """nginx gets another port, which somebody else has on c."""
        lab, before = self.ground.lab, self.numbers("a")
        listens = ("redis-server", "--port", "8081", "--protected-mode", "no", "--save", "")
        lab.docker(
            "c", "run", "--detach", "--name", "other", "--network", "host", lab.images["redis"], *listens
        )
        nginx = self.folders["a"].spec["nginx"]
        for project in self.folders.values():
            project.write(nginx={**nginx, "listen": 8081})
        began = time.monotonic()
        done = self.folders["a"].run("up", "--yes", code=1, timeout=700)
        found.add("nginx can't start on one host: all is back", "s", [time.monotonic() - began])
        print(done.stderr[-1500:], flush=True)
        lab.docker("c", "rm", "--force", "other")
        for project in self.folders.values():
            project.write(nginx=nginx)
        self._history("a", before, "rolled-back")
        self.well("b")

    def interrupted(self, found: Figures) -> None:
        """Ctrl-C, and at once `up` on the other machine."""
        self.change()
        process = self.folders["a"].popen("up", "--yes", "--verbose")
        assert process.stderr is not None
        for line in process.stderr:
            if "waiting for redis" in line:
                break
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        rest = process.communicate(timeout=120)[1]
        found.add("Ctrl-C: the command has ended", "s", [time.monotonic() - began])
        assert "`techsapo rollback` undoes it" in rest, rest
        self.free()
        self.folders["b"].run("up", "--yes", timeout=600)
        self.well("b")

    def taken_down(self, found: Figures) -> None:
        """`down` is killed while services end; `restart` and `ps` go on elsewhere, then `up`, then `down`."""
        b = self.folders["b"]
        b.run("restart", "nginx-c", timeout=300)
        assert "nginx-c" in b.run("ps").stdout
        self.killed("a", "going", "down")
        began = time.monotonic()
        b.run("up", "--yes", "--wait", _FREE_AFTER, timeout=700)
        found.add("down, killed while services ended: up, another host", "s", [time.monotonic() - began])
        self.well("b")
        b.run("down", timeout=300)
        lab = self.ground.lab
        assert [n for m in lab.machines for n in lab.containers(m, f"{PROJECT}_")] == []
        self.free()
