"""From Docker Compose on one host to Swarm on three, and back, with the data.

Ids are put into Redis and rows into the audit database on each side, the steps are those of
docs/three-machines.md, and everything is counted after each. At the end a restore is killed half way, and
another host's command goes back from it.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from projects import Project
from servers import wait_for
from swarm_lab import SwarmLab, swarm_lab

from tests.swarm.figures import Figures
from tests.swarm.ground import PROJECT, Ground, whole

_EACH = 500
"""Ids and rows that are added on each side."""
_ONE_HOST = ("hosts", "floating_address")


def prove(_: Ground, found: Figures) -> None:
    """Go there and back once, on machines of its own, and kill a restore on three between."""
    with swarm_lab() as lab, tempfile.TemporaryDirectory(prefix="techsapo-moving-") as folder:
        (directory := Path(folder) / PROJECT).mkdir()
        three = lab.spec(**whole())
        one = {**{k: v for k, v in three.items() if k not in _ONE_HOST}, "engine": "compose"}
        host = {"DOCKER_HOST": lab.machines["a"].docker}
        moved = Moved(Project(directory, one, host, lab.enter("a")))
        moved.up()
        moved.add()
        found.add("on one host: lost", "ids and rows", [moved.missing("redis", "mysql")], 0)
        found.add("one host to three: without service", "s", [moved.to(three)])
        found.add("one host to three: lost", "ids and rows", [moved.missing(*_everywhere(lab))], 0)
        moved.add()
        seconds = _killed(lab, moved, Path(folder) / "elsewhere")
        found.add("restore killed on a: until b has gone back", "s", [seconds])
        found.add("restore killed on a: lost", "ids and rows", [moved.missing(*_everywhere(lab))], 0)
        found.add("three hosts to one: without service", "s", [moved.to(one)])
        found.add("three hosts to one: lost", "ids and rows", [moved.missing("redis", "mysql")], 0)
        moved.project.run("down", timeout=300)


class Moved:
    """A stack that moves, and how many ids and rows were put into it."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.put = 0

    def up(self) -> None:
        """Bring it up as its spec is now."""
        self.project.run("up", "--yes", timeout=600)

    def add(self) -> None:
        """Put ids into Redis and rows into the audit database."""
        first, self.put = self.put + 1, self.put + _EACH
        script = f"for i={first},{self.put} do redis.call('set', 'moving:' .. i, i) end return 1"
        self.project.run("exec", self._master, "--", "redis-cli", "-e", "eval", script, "0")
        numbers = ",".join(f"({n})" for n in range(first, self.put + 1))
        sql = f"CREATE TABLE IF NOT EXISTS moving (id INT PRIMARY KEY); INSERT INTO moving VALUES {numbers}"
        self.project.run("exec", "mysql", "--", "mariadb", "--execute", sql, self._database)

    def to(self, spec: dict[str, Any]) -> float:
        """Move it as the page says; seconds for which nobody is served."""
        self.project.run("maintenance", "on", timeout=120)
        self.project.run("backup", "--tag", "move", timeout=300)
        self.project.spec = spec
        self.project.write()
        began = time.monotonic()
        self.up()
        self.project.run("restore", "latest", "--yes", timeout=600)
        self.project.run("maintenance", "off", timeout=120)
        seconds = time.monotonic() - began
        self.well(self.project)
        return seconds

    def well(self, project: Project) -> None:
        """Wait until every part of it is well, as `project` asks."""
        said: dict[str, Any] = {}

        def healthy() -> bool:
            said.update(project.health())
            return bool(said["status"] == "healthy")

        try:
            wait_for(healthy, timeout=240, what="healthy")
        except AssertionError as error:
            raise AssertionError([p for p in said["probes"] if p["status"] != "healthy"]) from error

    def missing(self, *services: str) -> int:
        """How many ids and rows the worst of these services lacks, or has beside what was put."""
        return max(abs(self.put - self._count(service)) for service in services)

    def _count(self, service: str) -> int:
        if service.startswith("redis"):
            script = "return #redis.call('keys', 'moving:*')"
            asked = ("redis-cli", "eval_ro", script, "0")
        else:
            asked = ("mariadb", "-N", "--execute", "SELECT COUNT(*) FROM moving", self._database)
        said = self.project.run("exec", service, "--", *asked).stdout
        return int(said.split()[-1])

    @property
    def _master(self) -> str:
        """The Redis that takes writes."""
        every = [f"redis-{host}" for host in self.project.spec.get("hosts", ())] or ["redis"]
        roles = {name: self.project.run("exec", name, "--", "redis-cli", "ROLE").stdout for name in every}
        (master,) = (name for name, said in roles.items() if said.split()[:1] == ["master"])
        return master

    @property
    def _database(self) -> str:
        return "techsapo_audit"


def _everywhere(lab: SwarmLab) -> tuple[str, ...]:
    return tuple(f"{kind}-{host}" for host in lab.machines for kind in ("redis", "mysql"))


def _killed(lab: SwarmLab, moved: Moved, folder: Path) -> float:
    """kill -9 of a restore on machine a once it replaces data; seconds until b has gone back from it.

    What it would have brought back lacks the last ids and rows.
    """
    restoring = moved.project.popen("restore", "latest", "--yes")
    assert restoring.stderr is not None
    try:
        for line in restoring.stderr:
            if "restoring redis" in line:
                break
        time.sleep(5)  # Redis is being stopped by then
    finally:
        restoring.kill()
        restoring.communicate()
    folder.mkdir()
    (folder / PROJECT).mkdir()
    there = replace(moved.project, directory=folder / PROJECT, launcher=lab.enter("b"))
    shutil.copy2(moved.project.directory / "techsapo.yaml", there.directory)
    began = time.monotonic()
    there.run("up", "--yes", "--wait", "120", timeout=600)
    seconds = time.monotonic() - began
    moved.well(there)
    return seconds
