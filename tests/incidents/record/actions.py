"""What a scenario may do to the recorded machine.

A step of scenarios.yaml is a method of Actions, or one of World, and its arguments.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.incidents.record import certificates, servers
from tests.incidents.record.world import FAKETIME, PYTHON, Unit, World, run

Step = Mapping[str, Any]


class Actions:
    """The steps, by name."""

    def __init__(self, world: World) -> None:
        self.world = world

    def perform(self, steps: Sequence[Step]) -> None:
        for step in steps:
            for name, given in step.items():
                method = getattr(self if hasattr(self, name) else self.world, name)
                if isinstance(given, Mapping):
                    method(**given)
                elif isinstance(given, list) and name != "later":
                    method(*given)
                else:
                    method(given)

    def later(self, steps: Sequence[Step]) -> None:
        """Perform steps while the recording goes on."""
        self.world.later(lambda: self.perform(steps))

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def command(self, line: str) -> None:
        run(*shlex.split(line))

    def append(self, path: str, text: str) -> None:
        with Path(path).open("a") as file:
            file.write(text)

    def signal(self, unit: str, name: str) -> None:
        os.kill(self.world.units[unit].pid, signal.Signals[f"SIG{name}"])

    def end(self, unit: str, name: str) -> None:
        """Let a unit end by a signal, and nobody restart it."""
        self.world.units[unit].restarts = False
        self.signal(unit, name)

    def resume(self, unit: str) -> None:
        self.world.start(self.world.units[unit])

    def serve(self, name: str, version: str, settings: Mapping[str, Any]) -> None:
        servers.service(self.world, name, version, settings)

    def outside(self, name: str, *argv: str) -> None:
        servers.outside(self.world, name, *argv)

    def program(self, name: str, script: str, cpu_group: str) -> None:
        """Start a script by the service manager, as its timer would."""
        self.world.cron(f"(root) CMD (systemctl start {name})")
        self.world.start(Unit(name, (PYTHON, "-c", script), cpu_group=cpu_group, restarts=False))

    def processor(self, group: str, period: int, quota: int) -> None:
        """Limit a control group to `quota` of each `period` microseconds of a processor."""
        for name, value in (("period", period), ("quota", quota)):
            (self.world.cpu_group(group) / f"cpu.cfs_{name}_us").write_text(str(value))

    def clock(self, unit: str, ahead: str) -> None:
        """Restart a unit with a clock that is ahead."""
        self.world.stop(unit)
        faked = (f"LD_PRELOAD={FAKETIME}", f"FAKETIME={ahead}", "DONT_FAKE_MONOTONIC=1")
        self.world.units[unit].argv = ("env", *faked, *self.world.units[unit].argv)
        self.resume(unit)

    def sql(self, statement: str, server: str = "mysqld") -> None:
        servers.sql(statement, f"/run/mysqld/{server}.sock")

    def provider(self, **given: Any) -> None:
        """Change how the stand-in of the payment provider answers."""
        servers.write_json("/etc/psp/psp.json", {**servers.PROVIDER, **given})

    def certificate(self, path: str, names: Sequence[str], ends_in: float = 60 * 86400) -> None:
        certificates.issue(path, *names, ends_in=ends_in)

    def digest(self, count: int) -> None:
        mail = json.dumps({"order": 1, "to": "reader", "total": 0})
        pushed = f"redis.Redis('127.0.0.12').rpush('mails', *[{mail!r}] * {count})"
        script = f"import redis\nprint({pushed}, 'mails queued')\n"
        self.world.job("send-digest", script, service="mailer")

    def backups(self, count: int) -> None:
        for number in range(count):
            to = f"--target-dir=/var/lib/mysql/backups-{number} --user=root --socket=/run/mysqld/mysqld.sock"
            self.world.job("backup", f"mariadb-backup --backup {to} 2>&1 | tail -2", service="mariadb")
            time.sleep(4)
