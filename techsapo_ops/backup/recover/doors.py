"""How a recovery reaches what the command line builds: the stack of a draft, its hosts, and one placed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from techsapo_ops.adapters import swarm
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.apply.outcome import Listener
from techsapo_ops.backup.recover.draft import Draft
from techsapo_ops.engines.swarm.shared_state import purpose_of
from techsapo_ops.errors import OpsError
from techsapo_ops.hosts.check import check
from techsapo_ops.hosts.facts import IN_SWARM, DaemonFacts, Level
from techsapo_ops.hosts.join import add
from techsapo_ops.hosts.survey import daemons_of
from techsapo_ops.messages import msg
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.topology import Topology
from techsapo_ops.watch.doctor.diagnosis import Diagnosis


@dataclass(frozen=True, slots=True)
class Hosts:
    """What was seen of them: `joining` are in no Swarm yet, `blockers` (what, what to try) are in the way."""

    joining: tuple[str, ...] = ()
    blockers: tuple[tuple[str, str], ...] = ()


def look_at_hosts(topology: Topology, fleet: Fleet) -> Hosts:
    """Ask all of them, each for some seconds; nothing is changed. A recovery is of all, as an apply is."""
    daemons, _ = daemons_of(fleet, topology.machines)
    joining = tuple(name for name, daemon in daemons.items() if not daemon.joined)
    blockers = [
        (msg("{host}: {detail}", host=fact.host or fact.name, detail=fact.detail), fact.remedy)
        for fact in check(topology, fleet).facts
        if fact.level is Level.FAILED and not (fact.name == IN_SWARM and fact.host in joining)
    ]
    manager = _manager(fleet, daemons)
    try:
        if manager is not None:
            _require_new(manager, topology)
    except OpsError as error:
        blockers.append((error.message, error.hint or ""))
    return Hosts(joining, tuple(blockers))


def join(
    topology: Topology, fleet: Fleet, say: Callable[[str], None], pause: Callable[[float], None]
) -> None:
    """Let those that are in no Swarm join one; the first makes it where there is none.

    It can be called again. Raises OpsError, also where the Swarm has a stack of that name: its state would
    take the place of what was recovered.
    """
    add(fleet, topology.spec.project, topology.machines, (), say, pause)
    _require_new(fleet.manager, topology)


def _manager(fleet: Fleet, daemons: dict[str, DaemonFacts]) -> Docker | None:
    able = (name for name, daemon in daemons.items() if daemon.manages and daemon.state == "active")
    return next((fleet.members[name] for name in able), None)


def _require_new(manager: Docker, topology: Topology) -> None:
    """Raise OpsError where the Swarm has the state of a stack of that name, or no quorum to ask."""
    name = topology.spec.project
    if not swarm.notes(manager, purpose_of(name)):
        return
    raise OpsError(
        msg("the hosts already have the state of a stack named {name}, with its ledger and keys", name=name),
        msg(
            "put the spec of the existing stack into another folder. To keep that stack, run `techsapo "
            "status` in the folder. To remove that stack, run `techsapo down --volumes` in the folder, then "
            'remove what remains: docs/three-machines.md, "Who reaches what"'
        ),
    )


@dataclass(frozen=True, slots=True)
class Prospect:
    """The stack that a draft would be on this host, before anything of it is there."""

    stack: Stack
    diagnosis: Diagnosis
    warnings: tuple[str, ...] = ()
    there: tuple[str, ...] = ()
    """What runs on this host of a stack of this name already."""
    hosts: Hosts = field(default_factory=Hosts)
    """Of a stack on several, what was seen of them."""


class Doors(Protocol):
    """How a recovery reaches what the command line builds."""

    @property
    def listener(self) -> Listener:
        """Receives the progress of an apply."""
        ...

    def prospect(self, draft: Draft, engine: str | None) -> Prospect:
        """The stack of `draft` on this host. Raises SpecError for a draft that does not hold here."""
        ...

    def open(self, file: Path, environment: str | None, engine: str | None) -> Stack:
        """The stack of the spec that was placed. Raises OpsError."""
        ...

    def gather(self, file: Path, environment: str | None, engine: str | None) -> None:
        """Let the hosts of the spec that was placed be one Swarm. Raises OpsError."""
        ...

    def install_schedule(self, file: Path, environment: str | None) -> None:
        """Let cron start the jobs. Raises OpsError."""
        ...

    def remove_schedule(self, file: Path, environment: str | None) -> None:
        """Take that back."""
        ...
