"""Hosts of the lab: each has a network and a crontab of its own, and shares disk and kernel with this one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
from servers import wait_for

_WAITS = "mount -t tmpfs none /var/spool/cron/crontabs && exec sleep infinity"


@dataclass(frozen=True)
class Host:
    """A host, by the process that holds its namespaces."""

    pid: int
    network: bool
    user: str = "root"
    """Whose jobs its crontab has."""

    def enter(self, directory: Path) -> tuple[str, ...]:
        """What starts a command on it in `directory`."""
        network = ("-n",) if self.network else ()
        return ("nsenter", "-t", str(self.pid), "-m", *network, f"--wd={directory}", "--")

    def crontab(self) -> str:
        """The user's table of jobs; empty where there is none."""
        argv = [*self.enter(Path("/")), "crontab", "-u", self.user, "-l"]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout

    def with_user(self, name: str, number: int, folder: Path) -> Host:
        """The same host as seen by a user whom it alone knows, with a file of its own below `folder`."""
        passwd = folder / "passwd"
        known = Path("/etc/passwd").read_text(encoding="utf-8")
        passwd.write_text(f"{known}{name}:x:{number}:{number}::/nonexistent:/bin/sh\n", encoding="utf-8")
        passwd.chmod(0o644)
        subprocess.run([*self.enter(Path("/")), "mount", "--bind", passwd, "/etc/passwd"], check=True)
        return replace(self, user=name)


@dataclass(frozen=True)
class Wire:
    """A bridge; this machine has `address` on it."""

    bridge: str
    address: str


@contextmanager
def wire() -> Iterator[Wire]:
    """A network that the hosts of this lab share with this machine. Needs root."""
    number = os.getpid() % 250
    made = Wire(f"tsrec{os.getpid() % 100000}", f"10.231.{number}.1")
    _ip("link", "add", made.bridge, "type", "bridge")
    try:
        _ip("addr", "add", f"{made.address}/24", "dev", made.bridge)
        _ip("link", "set", made.bridge, "up")
        yield made
    finally:
        _ip("link", "del", made.bridge)


@contextmanager
def old_host() -> Iterator[Host]:
    """One with this machine's network."""
    with _held() as pid:
        yield Host(pid, network=False)


@contextmanager
def new_host(on: Wire) -> Iterator[Host]:
    """One with nothing but a loopback of its own and a wire."""
    with _held("--net") as pid:
        here, there = f"a{pid}", f"b{pid}"
        _ip("link", "add", here, "type", "veth", "peer", "name", there)
        _ip("link", "set", here, "master", on.bridge, "up")
        _ip("link", "set", there, "netns", str(pid))
        inside = ("nsenter", "-t", str(pid), "-n", "--", "ip")
        for words in (
            ("addr", "add", f"{on.address.rpartition('.')[0]}.2/24", "dev", there),
            ("link", "set", there, "up"),
            ("link", "set", "lo", "up"),
        ):
            subprocess.run([*inside, *words], check=True)
        yield Host(pid, network=True)


@contextmanager
def _held(*more: str) -> Iterator[int]:
    process = subprocess.Popen(["unshare", "--mount", *more, "sh", "-c", _WAITS], stdin=subprocess.DEVNULL)
    try:
        wait_for(lambda: psutil.Process(process.pid).name() == "sleep", what="a host")
        yield process.pid
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait(10)


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
