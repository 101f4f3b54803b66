"""What is found on each machine of a stack: of its Docker, and of the machine itself.

What a machine says of its ports, disk, addresses and network is asked by ssh the same way as its Docker.
On a socket, and where the machine is not this host, in a container that is gone at once, of an image that is
there; where none is, that is said and nothing is guessed.
"""

from __future__ import annotations

import ipaddress
import json
import shlex
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.process import Command, Runner
from techsapo_ops.engines.swarm.nodes import SECONDS
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.service import Machine

IN_SWARM = "swarm"
"""Name of the fact whether a machine is in the stack's Swarm."""
_NANOSECONDS = 1_000_000_000
"""In a second: Docker's API counts in them."""


class Level(StrEnum):
    """What a fact asks for."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that was found; `host` is empty for what is of all of them."""

    host: str
    name: str
    level: Level
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class DaemonFacts:
    """What `docker info` says. `ahead` is how far its clock is before this host's, in seconds, give or take
    `doubt`; `state` is Docker's word: inactive, pending, active, error or locked.
    """

    name: str
    version: str
    root: str
    ahead: float
    doubt: float
    state: str = "inactive"
    error: str = ""
    node: str = ""
    address: str = ""
    manages: bool = False
    cluster: str = ""
    heartbeat: float = 0.0
    """Seconds; 0 where it does not say, for it is no manager."""

    @property
    def joined(self) -> bool:
        """Whether it is in any Swarm, also in one that does not answer now."""
        return self.state not in {"", "inactive"}


def renaming(machine: Machine, daemon: DaemonFacts) -> str:
    """What to try where a machine's Docker calls itself otherwise than the spec does."""
    return msg(
        "write `{name}:` under `hosts`, or run `hostnamectl set-hostname {key}` on that host and restart "
        "Docker",
        name=daemon.name, key=machine.name,
    )  # fmt: skip


def daemon_facts(docker: Docker, timeout: float = SECONDS) -> DaemonFacts:
    """What the daemon says of itself. Raises OpsError in the words of the client that could not reach it."""
    before = time.time()
    done = docker.attempt("info", "--format", "{{json .}}", timeout=timeout)
    after = time.time()
    try:
        value = json.loads(done.stdout)
    except ValueError:
        raise OpsError(
            done.output or msg("docker info failed with exit code {code}", code=done.code)
        ) from None
    # Of a daemon that it did not reach, the client prints an empty form, and may end well.
    if not value.get("ServerVersion"):
        raise OpsError("; ".join(value.get("ServerErrors") or ()) or done.output)
    return read_info(value, before, after)


def read_info(value: Mapping[str, Any], before: float, after: float) -> DaemonFacts:
    """Out of the JSON of `docker info`, which was asked between two times of this host's clock."""
    swarm = value.get("Swarm") or {}
    cluster = swarm.get("Cluster") or {}
    period = ((cluster.get("Spec") or {}).get("Dispatcher") or {}).get("HeartbeatPeriod") or 0
    return DaemonFacts(
        name=value.get("Name", ""),
        version=value["ServerVersion"],
        root=value.get("DockerRootDir", ""),
        ahead=_clock(value.get("SystemTime", "")).timestamp() - (before + after) / 2,
        doubt=(after - before) / 2,
        state=swarm.get("LocalNodeState", ""),
        error=swarm.get("Error", ""),
        node=swarm.get("NodeID", ""),
        address=swarm.get("NodeAddr", ""),
        manages=bool(swarm.get("ControlAvailable")),
        cluster=cluster.get("ID", ""),
        heartbeat=period / _NANOSECONDS,
    )


def _clock(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise OpsError(msg("Docker does not report the time")) from None


PROBE_SECONDS = 15.0
"""Of a machine that has answered already: it may have to start a container first."""
_ROOT = "/techsapo-disk"
# Linux's own files, since neither ip, ss nor Python is everywhere.
# https://docs.kernel.org/networking/ip-sysctl.html, proc_net_tcp: state 0A is LISTEN.
_SCRIPT = r"""
{ df -Pk "$1" 2>/dev/null || df -Pk "$(dirname "$1")"; } | { read -r _; read -r line; echo "disk $line"; }
shift
for file in /proc/net/tcp /proc/net/tcp6; do
  [ -r "$file" ] || continue
  while read -r _ local _ state _; do [ "$state" = 0A ] && echo "port $local"; done <"$file"
done
while read -r one two three four; do
  [ "$one" = '|--' ] && last=$two
  [ "$one $two $three" = '/32 host LOCAL' ] && echo "address $last"
done </proc/net/fib_trie
[ -r /proc/net/if_inet6 ] && while read -r six _; do echo "six $six"; done </proc/net/if_inet6
reach() {
  command -v bash >/dev/null 2>&1 || { echo "reach $1 $3 untried"; return; }
  said=$(timeout 8 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$2" "$3" 2>&1)
  code=$?
  case "$code $said" in
    '0 '*) echo "reach $1 $3 yes" ;;
    *efused*) echo "reach $1 $3 refused" ;;
    *) echo "reach $1 $3 no" ;;
  esac
}
while [ $# -gt 2 ]; do reach "$1" "$2" "$3" & shift 3; done
wait
"""


@dataclass(frozen=True, slots=True)
class Probed:
    """What a machine says. `reached` is yes, refused (nothing listens there), no or untried, by the other
    machine's name and port; sizes are in bytes.
    """

    size: int
    free: int
    ports: frozenset[int]
    addresses: frozenset[str]
    reached: dict[tuple[str, int], str]


class NoWayError(OpsError):
    """There is no way yet to let the machine say anything."""


def probe(
    runner: Runner,
    docker: Docker,
    machine: Machine,
    daemon: DaemonFacts,
    others: Sequence[tuple[str, str, int]],
    images: Sequence[str],
) -> Probed:
    """Let `machine` look at itself, and connect to each of `others`: name, address, port.

    `images` are those of the stack that it has. Raises NoWayError without any way, OpsError where it failed.
    """
    flat = [str(word) for other in others for word in other]
    script = f"set -- {shlex.join([_ROOT if _from_beside(machine, daemon) else daemon.root, *flat])}\n"
    command = Command(
        _argv(docker, machine, daemon, images), stdin=(script + _SCRIPT).encode(), launched="sh"
    )
    done = runner.run(command, timeout=PROBE_SECONDS)
    if done.code != 0 or b"disk" not in done.stdout:
        raise OpsError(done.output.splitlines()[-1] if done.output else msg("no output"))
    return read_probe(done.stdout.decode(errors="replace"))


def _from_beside(machine: Machine, daemon: DaemonFacts) -> bool:
    return not machine.docker.startswith("ssh://") and daemon.name != socket.gethostname()


def _argv(docker: Docker, machine: Machine, daemon: DaemonFacts, images: Sequence[str]) -> tuple[str, ...]:
    if machine.docker.startswith("ssh://"):
        to = urlsplit(machine.docker)
        options = ["-o", "BatchMode=yes", "-o", f"ConnectTimeout={SECONDS - 1:.0f}", "-T"]
        options += ["-p", str(to.port)] if to.port is not None else []
        options += ["-l", to.username] if to.username else []
        return ("ssh", *options, "--", to.hostname or "", "sh", "-s")
    if not _from_beside(machine, daemon):
        return ("sh", "-s")
    if not images:
        raise NoWayError(msg("the check runs in an image of the stack, and the host has none yet"))
    options = ["--rm", "-i", "--log-driver", "none", "--network", "host", "--pull", "never", "--user", "0"]
    mount = ("--volume", f"{daemon.root}:{_ROOT}:ro")
    return docker.streaming("run", *options, *mount, "--entrypoint", "sh", images[0], "-s").argv


def read_probe(said: str) -> Probed:
    """Out of what the script prints. Raises OpsError for anything else."""
    size, free = 0, 0
    ports: set[int] = set()
    addresses: set[str] = set()
    reached: dict[tuple[str, int], str] = {}
    try:
        for line in said.splitlines():
            word, _, rest = line.partition(" ")
            if word == "disk":
                fields = rest.split()
                at = next(n for n, field in enumerate(fields) if field.endswith("%"))
                size, free = int(fields[at - 3]) << 10, int(fields[at - 1]) << 10
            elif word == "port":
                ports.add(int(rest.rpartition(":")[2], 16))
            elif word == "address":
                addresses.add(str(ipaddress.ip_address(rest)))
            elif word == "six":
                addresses.add(str(ipaddress.ip_address(bytes.fromhex(rest))))
            elif word == "reach":
                name, port, how = rest.split()
                reached[name, int(port)] = how
    except (ValueError, StopIteration):
        raise OpsError(msg("unexpected output: {line}", line=line)) from None
    return Probed(size, free, frozenset(ports), frozenset(addresses), reached)
