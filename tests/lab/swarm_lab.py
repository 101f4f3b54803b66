"""A swarm of three on one kernel: machines (machines.py), each with a dockerd of its own, all managers.

What one kernel cannot show: a disk that loses what it was told to keep (the page cache survives kill -9), a
network with a delay, clocks that differ.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import machine_ssh
import psutil
from docker_lab import docker
from machines import NETWORK, Machine, Wire
from servers import wait_for
from swarm_images import data_with_images, home, loaded, swarm_images
from taken_memory import taken

from techsapo_ops.spec.models.root import ImageName

FLOATING = f"{NETWORK}.100"
HEARTBEAT = "20s"
"""With two seconds the cut of the leader restarts tasks of healthy machines."""
HOSTS = ("a", "b", "c")


@dataclass(frozen=True)
class SwarmLab:
    """Three machines with Docker; what is done to one of them is said by its name."""

    folder: Path
    """On the disk of the lab's cache; gone at the end."""
    wire: Wire
    machines: Mapping[str, Machine]
    images: Mapping[str, str]
    """The spec's `images:`, which every machine has."""
    seconds: dict[str, float]
    """How long each part of the start took."""

    def docker(
        self, host: str, *arguments: str, check: bool = True, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run docker with the daemon of `host`."""
        return docker("-H", self.machines[host].docker, *arguments, check=check, **options)

    def spec(self, *, by_ssh: bool = False, **sections: Any) -> dict[str, Any]:
        """The sections of a spec that say where it runs, and `sections`.

        `by_ssh`: each daemon is reached as from another machine, with the variables of `ssh`.
        """
        return {
            "engine": "swarm",
            "hosts": {
                m.name: {"address": m.address, "docker": f"ssh://root@{m.address}" if by_ssh else m.docker}
                for m in self.machines.values()
            },
            "floating_address": f"{FLOATING}/24",
            "images": {kind: image for kind, image in self.images.items() if kind in get_args(ImageName)},
            **sections,
        }

    @property
    def ssh(self) -> dict[str, str]:
        """Variables with which `docker -H ssh://root@10.77.0.2`, started with `enter`, gets in."""
        return machine_ssh.environment(self.folder / "ssh")

    @property
    def floating(self) -> str:
        """The address that one of them has at a time."""
        return FLOATING

    def enter(self, host: str) -> tuple[str, ...]:
        """What starts a command with the network and the name of `host`; `Project.launcher` takes it."""
        return self.machines[host].enter()

    def enter_hub(self) -> tuple[str, ...]:
        """What starts a command outside the machines that reaches all their addresses."""
        return self.wire.namespaces.enter()

    def cut(self, host: str) -> None:
        """Pull its cable: the machine itself sees that it has no carrier."""
        self.wire.run(f"ip link set {self.machines[host].port} down")

    def mute(self, host: str) -> None:
        """Let its port on the switch pass nothing on: the machine sees a network on which nobody answers."""
        self._port(host, "disabled")

    def heal(self, host: str) -> None:
        """Undo `cut` and `mute`."""
        self.wire.run(f"ip link set {self.machines[host].port} up")
        self._port(host, "forwarding")

    def _port(self, host: str, state: str) -> None:
        number = {"disabled": 0, "forwarding": 3}[state]
        self.wire.run(f"bridge link set dev {self.machines[host].port} state {number}")

    def kill(self, host: str) -> None:
        """Take the power of a machine; nobody sees a connection end. Its disk keeps what it has."""
        self.machines[host].off()

    def start(self, host: str) -> None:
        """Switch on one that was killed; its daemon answers. The swarm may not yet have heard of it."""
        self.machines[host].boot()
        self.machines[host].answers()

    @contextlib.contextmanager
    def full(self, host: str) -> Iterator[None]:
        """Fill the disk of the volumes of `host`, a small one, to the end of the block."""
        machine = self.machines[host]
        size = (machine.folder / "volumes.img").stat().st_size
        shell = (*machine.enter(whole=True), "sh", "-c")
        file = machine.folder / "data/volumes/filled"
        subprocess.run(
            [*shell, f"head -c {size} /dev/zero >'{file}'; sync"], stderr=subprocess.DEVNULL, check=False
        )
        try:
            yield
        finally:
            subprocess.run([*shell, f"rm '{file}'"], check=True)

    def reaches(self, host: str, address: str, port: int) -> bool:
        """Whether a connection from `host`, or from outside where it is "", is answered within two s."""
        program = f"import socket; socket.create_connection(({address!r}, {port}), 2)"
        enter = self.enter(host) if host else self.enter_hub()
        argv = [*enter, sys.executable, "-I", "-S", "-c", program]
        return subprocess.run(argv, stderr=subprocess.DEVNULL, check=False).returncode == 0

    def containers(self, host: str, name: str = "") -> list[str]:
        """Names of the running containers of `host` that begin with `name`."""
        listed = self.docker(host, "ps", "--format", "{{.Names}}").stdout.split()
        return sorted(each for each in listed if each.startswith(name))

    def nodes(self, asked: str = "a") -> dict[str, str]:
        """State of each node by its host name, as a manager on `asked` has it."""
        form = '{"name": {{json .Hostname}}, "state": {{json .Status}}}'
        said = self.docker(asked, "node", "ls", "--format", form, check=False).stdout
        return {(line := json.loads(each))["name"]: line["state"] for each in said.splitlines()}

    def leader(self, asked: str = "a") -> str:
        """The host whose manager leads, as `asked` has it."""
        form = "{{.Hostname}} {{.ManagerStatus}}"
        said = self.docker(asked, "node", "ls", "--format", form).stdout
        return next(line.split()[0] for line in said.splitlines() if line.endswith("Leader"))

    def settled(self, asked: str = "a", timeout: float = 120.0) -> None:
        """Wait until every node is ready, as `asked` has it."""
        every = dict.fromkeys(self.machines, "Ready")
        wait_for(lambda: self.nodes(asked) == every, timeout=timeout, what="a swarm of ready nodes")

    def memory(self, *, files: bool = True) -> Counter[str]:
        """Bytes that all machines' processes take, by program; each machine has its own of what it runs.

        Without `files` only what is the processes' own, and not pages of programs.
        """
        found: Counter[str] = Counter()
        for machine in self.machines.values():
            listed = []
            for process in machine.processes() if machine.namespaces else ():
                mapped = Path(f"/proc/{process.pid}/smaps")
                with contextlib.suppress(psutil.NoSuchProcess, OSError):  # it has ended meanwhile
                    listed.append((process.name(), mapped.read_text("ascii", "replace")))
            found += taken(listed, files=files)
        return found


@contextlib.contextmanager
def swarm_lab(
    hosts: Sequence[str] = HOSTS, *, joined: bool = True, small_disks: Mapping[str, int] | None = None
) -> Iterator[SwarmLab]:
    """Machines with these host names, in one swarm where `joined`; nothing of them is left at the end.

    `small_disks`: MB that all volumes of a host have together, on a file system of its own. Needs root.
    """
    _forget_dead()
    images = swarm_images()
    with contextlib.ExitStack() as parts:
        folder = Path(tempfile.mkdtemp(prefix="lab-", dir=home()))
        lock = parts.enter_context((folder / "lock").open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX)
        parts.callback(_remove, folder)
        seconds: dict[str, float] = {}
        wire = parts.enter_context(Wire.made())
        lines = "".join(f"{NETWORK}.{number} {name}\n" for number, name in enumerate(hosts, 1))
        machines = {
            name: Machine(name, wire, number, folder / name, lines, f"/{_group(folder)}-{name}")
            for number, name in enumerate(hosts, 1)
        }
        lab = SwarmLab(folder, wire, machines, images, seconds)
        machine_ssh.keys(folder / "ssh", [machine.address for machine in machines.values()])
        parts.callback(_all_off, machines.values())
        with _timed(seconds, "images"):
            ready = parts.enter_context(loaded())
            for machine in machines.values():
                data_with_images(ready, machine.folder / "data")
                _small_disk(machine, (small_disks or {}).get(machine.name))
        with _timed(seconds, "daemons"):
            for machine in machines.values():
                machine.boot()
            for machine in machines.values():
                machine.answers()
        if joined:
            with _timed(seconds, "swarm"):
                _join(lab)
        yield lab


def _join(lab: SwarmLab) -> None:
    first, *others = lab.machines.values()
    own = ("--advertise-addr", first.address, "--dispatcher-heartbeat", HEARTBEAT)
    lab.docker(first.name, "swarm", "init", *own)
    token = lab.docker(first.name, "swarm", "join-token", "--quiet", "manager").stdout.strip()
    for machine in others:
        to = ("--token", token, "--advertise-addr", machine.address, f"{first.address}:2377")
        lab.docker(machine.name, "swarm", "join", *to)
    lab.settled(first.name)


@contextlib.contextmanager
def _timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    seconds[part] = round(time.monotonic() - began, 1)


def _small_disk(machine: Machine, size: int | None) -> None:
    if size is not None:
        image = machine.folder / "volumes.img"
        with image.open("wb") as file:
            file.truncate(size << 20)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True)


def _all_off(machines: Sequence[Machine]) -> None:
    with ThreadPoolExecutor() as at_once:
        list(at_once.map(Machine.off, machines))


def _group(folder: Path) -> str:
    """How the groups of processes of the lab in `folder` begin."""
    return f"techsapo-{folder.name}"


def _remove(folder: Path) -> None:
    """What the processes of a lab have left: their groups, and the folder."""
    groups = Path("/sys/fs/cgroup")  # of the second version, and of each controller of the first
    for top in (*groups.glob(f"{_group(folder)}-*"), *groups.glob(f"*/{_group(folder)}-*")):
        for path, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                Path(path).rmdir()
    shutil.rmtree(folder)


def _forget_dead() -> None:
    """Remove what labs left that were killed; their machines ended with them."""
    for folder in home().glob("lab-*"):
        with contextlib.suppress(FileNotFoundError, BlockingIOError), (folder / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(folder)
