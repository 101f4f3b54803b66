"""Machines on one kernel, on a bridge: each a process 1 with network, mounts and processes of its own.

Nothing of them has a name outside: when a machine's process 1 ends, or the lab does, the kernel ends its
processes, and its network and mounts are gone. What remains are its folder and its groups of processes.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from docker_lab import docker
from servers import binary, wait_for

SCRIPT = Path(__file__).parent / "machine.sh"
NETWORK = "10.77.0"
HUB = f"{NETWORK}.254"
"""The bridge's own address: where clients outside the machines ask from."""


@dataclass(frozen=True)
class Namespaces:
    """What a process of the lab's holds: `pid` is 1 in there."""

    process: subprocess.Popen[bytes]
    pid: int

    @classmethod
    def held(cls, argv: Sequence[str], *more: str) -> Namespaces:
        """Those of a new process that runs `argv` until its standard input ends."""
        process = subprocess.Popen(
            ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", *more, *argv],
            stdin=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C is for the lab, which ends them in order
        )
        found: list[psutil.Process] = []

        def born() -> bool:
            assert process.poll() is None, f"{argv}: ended with {process.returncode}"
            # A fork that has not yet become the program still has the name of its parent.
            found[:] = [p for p in psutil.Process(process.pid).children() if p.name() != "unshare"]
            return bool(found)

        try:
            wait_for(born, what="namespaces")
        except BaseException:
            process.kill()
            process.wait(10)
            raise
        return cls(process, found[0].pid)

    def enter(self, *more: str) -> tuple[str, ...]:
        """What starts a command in them."""
        # Not `ip netns exec`, which hides the groups of processes.
        return (binary("nsenter"), "-t", str(self.pid), "--net", *more, "--")

    def run(self, *argv: str) -> str:
        """What a command says in this network. AssertionError where it fails."""
        done = subprocess.run([*self.enter(), *argv], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(argv)}: {done.stdout}{done.stderr}"
        return done.stdout

    def end(self) -> None:
        """kill -9 of all that is in there; returns when it is gone."""
        with suppress(psutil.NoSuchProcess):
            first = psutil.Process(self.pid)
            first.kill()
            first.wait(60)
        self.process.kill()
        self.process.wait(60)
        if self.process.stdin is not None:
            self.process.stdin.close()


@dataclass(frozen=True)
class Wire:
    """A bridge in a network of its own."""

    namespaces: Namespaces

    @classmethod
    @contextmanager
    def made(cls) -> Iterator[Wire]:
        """A new one. Needs root."""
        wire = cls(Namespaces.held(["cat"]))
        try:
            wire.run("ip link add br0 type bridge")
            wire.run(f"ip addr add {HUB}/24 dev br0")
            wire.run("ip link set br0 up")
            wire.run("ip link set lo up")
            yield wire
        finally:
            wire.namespaces.end()

    def run(self, command: str) -> None:
        """A command on the bridge's side: ip, bridge, ebtables."""
        name, *words = command.split()
        self.namespaces.run(binary(name), *words)


@dataclass
class Machine:
    """One host: `number` is the last part of its address, `folder` is what its disk keeps."""

    name: str
    wire: Wire
    number: int
    folder: Path
    hosts: str = ""
    """Lines of /etc/hosts besides."""
    group: str = ""
    """Under which its containers' groups of processes are."""
    namespaces: Namespaces | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        return f"{NETWORK}.{self.number}"

    @property
    def docker(self) -> str:
        """Where its daemon listens."""
        return f"unix://{self.folder}/docker.sock"

    @property
    def _pid(self) -> Path:
        return self.folder / "pid"

    @property
    def port(self) -> str:
        """Its port on the bridge."""
        return f"to-{self.name}"

    @property
    def on(self) -> Namespaces:
        """What it is held by. AssertionError while it is off."""
        assert self.namespaces is not None, f"machine {self.name} is off"
        return self.namespaces

    def enter(self, *, whole: bool = False) -> tuple[str, ...]:
        """What starts a command with its network and host name, and this machine's files and processes.

        `whole`: with all that is its own; such a command ends with it. It is the same after a `boot`.
        """
        more = ("--mount", "--ipc", "--pid") if whole else ()
        script = f'at=$(cat "$0") && exec {binary("nsenter")} -t "$at" --net --uts {" ".join(more)} -- "$@"'
        return ("sh", "-c", script, str(self._pid))

    @contextmanager
    def running(self) -> Iterator[Machine]:
        """It with a daemon that answers, to the end of the block."""
        try:
            self.boot()
            self.answers()
            yield self
        finally:
            self.off()

    def boot(self) -> None:
        """Switch it on; its daemon starts."""
        self.folder.mkdir(parents=True, exist_ok=True)
        assert len(self.docker) < 110, f"too long for a socket: {self.docker}"
        (self.folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        (self.folder / "hosts").write_text(f"127.0.0.1 localhost\n{self.address} {self.name}\n{self.hosts}")
        (self.folder / "off").unlink(missing_ok=True)
        groups = ("--cgroup-parent", self.group) if self.group else ()
        argv = [
            "sh", str(SCRIPT), self.name, str(self.folder),
            binary("dockerd"), "-H", self.docker, "-H", "unix:///run/docker.sock",
            "--data-root", str(self.folder / "data"), "--exec-root", "/run/docker",
            "--pidfile", "/run/docker.pid", "--log-level", "warn", *groups,
            "--insecure-registry", f"{NETWORK}.0/24",  # a registry of the lab has no certificate
        ]  # fmt: skip
        self.namespaces = Namespaces.held(argv, "--mount", "--uts", "--ipc")
        self.wire.run(f"ip link add {self.port} type veth peer name eth0 netns {self.on.pid}")
        self.wire.run(f"ip link set {self.port} master br0 up")
        for words in (
            f"addr add {self.address}/24 dev eth0",
            "link set lo up",
            "link set eth0 up",
            f"route add default via {HUB}",
        ):
            self.on.run(binary("ip"), *words.split())
        self._pid.write_text(str(self.on.pid))
        assert self.on.process.stdin is not None
        self.on.process.stdin.write(b"\n")
        self.on.process.stdin.flush()

    def answers(self) -> None:
        """Wait until its daemon answers."""

        def ready() -> bool:
            assert self.on.process.poll() is None, f"machine {self.name} is gone: {self.log()}"
            return docker("-H", self.docker, "info", check=False).returncode == 0

        try:
            wait_for(ready, timeout=120, what=f"the daemon of {self.name}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()}") from error

    def log(self) -> str:
        """The end of what its daemon said."""
        path = self.folder / "dockerd.log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""

    def processes(self) -> list[psutil.Process]:
        """All of them, the daemon and what is in containers."""
        first = psutil.Process(self.on.pid)
        return [first, *first.children(recursive=True)]

    def daemon(self) -> psutil.Process:
        """Its dockerd."""
        return next(p for p in self.processes() if p.name() == "dockerd")

    def stop_daemon(self) -> None:
        """End the daemon in order, and for good; the machine stays on."""
        (self.folder / "off").touch()
        daemon = self.daemon()
        daemon.terminate()
        wait_for(lambda: not daemon.is_running() or daemon.status() == psutil.STATUS_ZOMBIE, what="dockerd")

    def off(self) -> None:
        """kill -9 of everything on it at once, after its cable: nobody is told that a connection ends."""
        if self.namespaces is None:
            return
        self._pid.unlink(missing_ok=True)
        with suppress(AssertionError):  # it may have ended before it had a network
            self.wire.run(f"ip link del {self.port}")
        self.namespaces.end()
        self.namespaces = None
