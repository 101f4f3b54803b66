"""The loss of a host, drilled as somebody does it, and one drill that is killed in the midst of it.

The whole stack; the command runs on machine a. After each nothing is missing, and there is nothing to do.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import defaultdict
from typing import Any

from projects import Project
from servers import wait_for

from tests.swarm.figures import Figures
from tests.swarm.ground import Ground

_AWAY = "20"
_HERE = "a"


def prove(ground: Ground, found: Figures) -> None:
    """As often as faults are tried, then kill -9 in the midst of one."""
    drills = Drills(ground)
    for _ in range(ground.cuts):
        drills.done("failover-host", "--seconds", _AWAY)
    for what, (unit, most, values) in drills.values.items():
        found.add(what, unit, values, most)
    found.notes += drills.notes
    seconds = drills.killed()
    found.add("failover-host, killed (-9): back by `hosts activate`", "s", [seconds], 300)


class Drills:
    """Does them, and keeps what they print: `values` has a unit, what it may be at most, and each value."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.stack: Project = ground.stack
        self.values: dict[str, tuple[str, float | None, list[float]]] = {}
        self.notes: list[str] = []
        self._count: dict[str, int] = defaultdict(int)
        self.well()

    def done(self, name: str, *arguments: str) -> None:
        """Do one, whose exit code says that all was as it has to be, and see that all is as before."""
        report = json.loads(self.stack.run("drill", name, *arguments, "--yes", "--json", timeout=600).stdout)
        assert report["ok"], report["missed"]
        assert report["drill"] == name
        print(f"{name}: {report['facts']} {report['notes']}", flush=True)
        counts = report["counts"]
        for what in ("failed", "doubled", "lost_writes"):
            self._add(f"{name}: {what.replace('_', ' ')}", "requests", counts[what], 0)
        again = counts["carried_out_again"]
        self._add(f"{name}: carried out again, under way where it was lost", "requests", again)
        for what in ("longest_gap", "longest_answer"):
            self._add(f"{name}: {what.replace('_', ' ')}", "s", counts[f"{what}_seconds"])
        for phase in report["phases"]:
            self._add(f"{name}: {phase['name']}", "s", phase["seconds"], phase["objective"])
        facts = ", ".join(f"{key} {value}" for key, value in report["facts"].items() if key != "run")
        self.notes.append(f"{name}: {facts}.{''.join(f' {note}.' for note in report['notes'])}")
        self.well()

    def _add(self, what: str, unit: str, value: float | None, most: float | None = None) -> None:
        if value is not None:
            self.values.setdefault(what, (unit, most, []))[2].append(value)

    def well(self) -> None:
        """Wait until nothing is missing; nothing is to be done then, and no host is drained."""
        said: dict[str, Any] = {}

        def healthy() -> bool:
            said.update(self.stack.health())
            return bool(said["status"] == "healthy")

        try:
            wait_for(healthy, timeout=240, what="healthy")
        except AssertionError as error:
            raise AssertionError([p for p in said["probes"] if p["status"] != "healthy"]) from error
        self.stack.run("plan", timeout=120)
        assert set(self._availability().values()) == {"active"}

    def killed(self) -> float:
        """kill -9 once a host was taken away; seconds until `hosts activate` has brought it back."""
        host = self.ground.roles()["the address"]
        drill = self.stack.popen("drill", "failover-host", host, "--seconds", "40", "--yes")
        assert drill.stderr is not None
        try:
            for line in drill.stderr:
                if f"{host} was killed" in line:
                    break
        finally:
            os.kill(drill.pid, signal.SIGKILL)
            drill.communicate(timeout=60)
        assert drill.returncode == -signal.SIGKILL, "it ended before it was killed"
        assert self._availability()[host] == "drain"
        refused = self.stack.run("drill", "failover-host", "--yes", code=1, timeout=120).stderr
        assert f"{host} is already drained" in refused, refused
        began = time.monotonic()
        self.stack.run("hosts", "activate", host, "--wait", "60", timeout=400)
        seconds = time.monotonic() - began
        self.well()
        return seconds

    def _availability(self) -> dict[str, str]:
        form = "{{.Hostname}} {{.Availability}}"
        said = self.ground.lab.docker(_HERE, "node", "ls", "--format", form).stdout
        return {name: state.lower() for name, state in (line.split() for line in said.splitlines())}
