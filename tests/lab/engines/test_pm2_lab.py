"""The guide's four pm2 commands on the generated ecosystem.config.js, with the real pm2 from npm."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from docker_lab import cache
from servers import binary, free_port, http_ok, wait_for
from stacks import HOSTILE_FOLDER, real_host, spec, topology

from techsapo_ops.apply.generate import write_files
from techsapo_ops.render.stack import render_stack
from techsapo_ops.render.templates import Templates

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def pm2_program() -> str:
    """pm2, installed by npm once on this machine: that takes longer than all that is done with it here."""
    folder = cache() / "pm2"
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "pm2.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            argv = [binary("npm"), "install", "--prefix", str(folder), "--no-audit", "--no-fund", "pm2"]
            done = subprocess.run(argv, capture_output=True, text=True, timeout=180, check=False)
            assert done.returncode == 0, f"npm could not install pm2:\n{done.stderr}"
            (folder / "complete").touch()
    return str(folder / "node_modules/.bin/pm2")


@dataclass
class Pm2:
    """pm2 with a home of its own, called where ecosystem.config.js is."""

    program: str
    home: Path
    directory: Path

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PM2_HOME": str(self.home), "NO_COLOR": "1", "TERM": "xterm"}

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [self.program, *words],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"pm2 {' '.join(words)}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def apps(self) -> list[dict[str, Any]]:
        listed = self.run("jlist")
        found: list[dict[str, Any]] = json.loads(listed[listed.index("[{") :] if "[{" in listed else "[]")
        return found


@pytest.fixture
def ports() -> list[int]:
    return [free_port(), free_port()]


@pytest.fixture
def pm2(tmp_path: Path, pm2_program: str, ports: list[int]) -> Iterator[Pm2]:
    directory = tmp_path / HOSTILE_FOLDER
    directory.mkdir()
    wanted = spec(
        app={"instances": [{"port": port} for port in ports], "drain": "0s"},
        redis={"enabled": False},
    )
    facts = real_host(sys.executable, root=os.geteuid() == 0)
    where = topology(wanted, directory, facts=facts)
    write_files(render_stack(where, Templates()), where)
    tool = Pm2(pm2_program, tmp_path / "home", where.layout.config)
    try:
        yield tool
    finally:
        tool.run("kill")


def answering(ports: list[int]) -> None:
    for port in ports:
        wait_for(lambda port=port: http_ok(f"http://127.0.0.1:{port}/ping"), what=f"app on {port}")


def test_the_guides_four_commands_work(pm2: Pm2, ports: list[int]) -> None:
    pm2.run("start", "ecosystem.config.js")
    answering(ports)
    assert [app["name"] for app in pm2.apps()] == ["techsapo", "techsapo"]
    assert {app["pm2_env"]["status"] for app in pm2.apps()} == {"online"}

    said = pm2.run("logs", "techsapo", "--nostream")
    assert "techsapo" in said
    assert '"level"' in said

    before = {app["pid"] for app in pm2.apps()}
    pm2.run("restart", "techsapo")
    answering(ports)
    after = {app["pid"] for app in pm2.apps()}
    assert len(after) == 2
    assert not before & after

    assert "techsapo" in screen([pm2.program, "monit"], pm2)

    pm2.run("start", "ecosystem.config.js")
    assert len(pm2.apps()) == 2, "a second start adds no second copy"


def screen(argv: list[str], pm2: Pm2) -> str:
    """What a program that takes over the terminal shows, until it shows the app."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(pm2.directory)
        os.execve(argv[0], argv, pm2.environment)  # noqa: S606 - the forked child becomes pm2
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    shown = b""
    deadline = time.monotonic() + 60
    try:
        while b"techsapo" not in shown and time.monotonic() < deadline:
            if select.select([terminal], [], [], 1)[0]:
                shown += os.read(terminal, 65536)
    finally:
        os.kill(pid, 15)
        os.waitpid(pid, 0)
        os.close(terminal)
    return shown.decode(errors="replace")
