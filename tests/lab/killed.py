"""`techsapo` killed at exact points of an apply that changes Redis alone."""

from __future__ import annotations

import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import warm
from projects import Project

FAULT_POINT = Path(__file__).with_name("fault_point.py")
POINTS = {
    "begun": "before any file was written",
    "writing": "while files were written",
    "files": "after the files were written",
    "prepared": "before the first service",
    "services": "while services were changed (done: redis)",
    "read-back": "while reading back",
}
"""Where an `up` can be killed, and how the ledger says it."""
_numbers = count(1)


def change_redis(stack: Project, setting: str = "") -> str:
    """Another redis.conf, so that Redis alone is restarted; returns its mark."""
    mark = f"# mark {next(_numbers)} #"
    template = stack.directory / "template-overrides" / "redis" / "redis.conf.j2"
    template.parent.mkdir(parents=True, exist_ok=True)
    template.write_text(
        f'{{% extends "builtin/redis/redis.conf.j2" %}}{{% block extra %}}{setting}\n{mark}{{% endblock %}}\n'
    )
    return mark


def configuration(stack: Project) -> str:
    """The redis.conf that Redis was started with last."""
    return (stack.state / "generated" / "redis" / "redis.conf").read_text()


def faulty(stack: Project, point: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `techsapo …` with the fault of `point`, see fault_point.py."""
    argv = [sys.executable, FAULT_POINT, point, *arguments]
    return warm.run(argv, cwd=stack.directory, text=True, timeout=60)


def killed_at(stack: Project, point: str, *arguments: str) -> None:
    """Run `techsapo …` until `point`, where it is killed."""
    done = faulty(stack, point, *arguments)
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr


def completes(stack: Project, point: str) -> None:
    """Kill an `up` at `point`; the next one completes it, and the ledger has both."""
    mark = change_redis(stack)
    killed_at(stack, point, "up")
    done = stack.run("up", "--verbose")
    assert "finishing it now" in done.stderr
    assert mark in configuration(stack)
    *_, interrupted, last = stack.applies()
    assert (interrupted.result, last.result) == ("failed", "ok")
    assert POINTS[point] in interrupted.reason
    assert interrupted.seconds > 0
    assert not (stack.state / "journal/apply.json").exists()
