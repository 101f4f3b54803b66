"""What is found on each machine of a stack: of its Docker, and of the machine itself."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from techsapo_ops.adapters.docker import Docker
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
        "write `{name}:` under `hosts`, or `hostnamectl set-hostname {key}` there and restart Docker",
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
        raise OpsError(done.output or msg("docker info ended with {code}", code=done.code)) from None
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
        raise OpsError(msg("its Docker says no time")) from None
