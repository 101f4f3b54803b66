"""Three machines without Docker on the lab's bridge, for programs that are on a machine's own network."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from machines import HUB, NETWORK, Namespaces, Wire
from servers import binary

from techsapo_ops.stack.service import ON

OUTSIDE = "0"
"""As which a namespace sees a parent that is not in it."""
_SETUP = """
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1/etc,workdir=$1/work" /etc
echo up >"$1/up"
exec cat
"""


@dataclass
class Bare:
    """One machine, or where a client is. `folder` is its own; what is in `folder/etc` is in its /etc."""

    name: str
    address: str
    folder: Path
    namespaces: Namespaces
    more: tuple[str, ...] = ()
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def own_folder(self) -> str:
        """Name of the folder whose files it alone reads."""
        return f"{ON}{self.name}"

    def run(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program in it to its end."""
        words = [*self.namespaces.enter(*self.more), *argv]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        assert not check or done.returncode == 0, f"{argv} on {self.name}:\n{done.stdout}{done.stderr}"
        return done

    def start(self, *argv: str, log: str) -> subprocess.Popen[bytes]:
        """Start a program in it; what it says goes to the file `log` in the machine's folder."""
        words = [*self.namespaces.enter(*self.more), *argv]
        with (self.folder / log).open("ab") as output:
            process = subprocess.Popen(words, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        self.started.append(process)
        return process

    def kill(self, name: str, signal: str = "KILL") -> None:
        """Send a signal to every process whose name begins so, to all at once.

        Children that are killed are stopped first: a worker of keepalived's that sees its parent die
        (PDEATHSIG) would clean up in what is left of its life. One of nsenter's is not: it would stop too.
        """
        found = self._processes(name)
        if signal == "KILL" and (children := [pid for pid, parent in found.items() if parent != OUTSIDE]):
            self.run("kill", "-STOP", *children, check=False)
        self.run("kill", f"-{signal}", *found, check=False)

    def pids(self, name: str) -> list[str]:
        """The pids, as it sees them, of the processes whose name begins so and that are not ended."""
        return list(self._processes(name))

    def _processes(self, name: str) -> dict[str, str]:
        """The parents of those processes, by pid."""
        lines = self.run("ps", "-eo", "pid=,ppid=,stat=,comm=").stdout.splitlines()
        found = (line.split(None, 3) for line in lines)
        return {
            pid: parent
            for pid, parent, state, comm in found
            if comm.startswith(name) and not state.startswith("Z")
        }

    def has(self, address: str) -> bool:
        """Whether one of its interfaces has this address."""
        # Of the kernel's own table: a program that is started for it is too slow to be asked all the time.
        table = Path(f"/proc/{self.namespaces.pid}/net/fib_trie").read_text()
        return re.search(rf"-- {re.escape(address)}\n +/32 host LOCAL", table) is not None

    def read(self, path: str) -> str:
        """A file as it sees it; empty where there is none."""
        try:
            return Path(f"/proc/{self.namespaces.pid}/root{path}").read_text()
        except FileNotFoundError:
            return ""


@dataclass
class Segment:
    """Machines and a client on one segment."""

    wire: Wire
    machines: Sequence[Bare]
    client: Bare

    def cut(self, machine: Bare) -> None:
        """Let nothing through to it or from it; its own interface does not notice."""
        self.wire.run(f"ip link set to-{machine.name} nomaster")

    def heal(self, machine: Bare) -> None:
        """Let everything through again."""
        self.wire.run(f"ip link set to-{machine.name} master br0")


@contextmanager
def segment(folder: Path, names: Sequence[str] = ("a", "b", "c")) -> Iterator[Segment]:
    """One machine for each name, and a client where the bridge is. Needs root."""
    with ExitStack() as stack:
        wire = stack.enter_context(Wire.made())
        (folder / "client").mkdir()
        client = Bare("client", HUB, folder / "client", wire.namespaces, ("--pid", "--mount"))
        machines = []
        for number, name in enumerate(names, 1):
            machine = _bare(folder / name, name, f"{NETWORK}.{number}")
            stack.callback(machine.namespaces.end)
            _connect(wire, machine)
            machines.append(machine)
        yield Segment(wire, tuple(machines), client)


def _bare(folder: Path, name: str, address: str) -> Bare:
    for part in ("etc", "work"):
        (folder / part).mkdir(parents=True)
    namespaces = Namespaces.held(["sh", "-ec", _SETUP, "sh", str(folder)], "--mount")
    return Bare(name, address, folder, namespaces, ("--mount", "--pid"))


def _connect(wire: Wire, machine: Bare) -> None:
    port = f"to-{machine.name}"
    wire.run(f"ip link add {port} type veth peer name eth0 netns {machine.namespaces.pid}")
    wire.run(f"ip link set {port} master br0 up")
    for words in (f"addr add {machine.address}/24 dev eth0", "link set lo up", "link set eth0 up"):
        machine.namespaces.run(binary("ip"), *words.split())
