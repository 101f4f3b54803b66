"""What `up` has to say of a stack: a row per service, and the choices that it made."""

from __future__ import annotations

from dataclasses import dataclass

from techsapo_ops.adapters.process import Runner
from techsapo_ops.jobs.timetable import nobody_starts
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import kind_of, kinds
from techsapo_ops.stack.observed import ObservedService, State
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology

FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Row:
    """One service: `state` is a word of stack.engine.State, or `failed`."""

    service: str
    kind: str
    state: str
    url: str
    note: str = ""


def row(topology: Topology, service: Service, seen: ObservedService | None, failed: bool) -> Row:
    """The row of `service`, which runs as `seen`."""
    state = seen.state if seen is not None else State.STOPPED
    if state is State.STARTING:
        state = State.RUNNING  # it passed its gate a moment ago; the supervisor calls it so a second later
    shown = topology.published(service) or not service.port
    share = _share(topology, service) if shown else msg("private to the stack")
    return Row(
        service.name,
        service.kind,
        FAILED if failed else str(state),
        service_url(topology, service),
        share,
    )


def _share(topology: Topology, service: Service) -> str:
    """How much of the requests a balanced service gets, where there are several."""
    balanced = {kind.balances for kind in kinds()}
    if service.kind not in balanced or len(topology.of_kind(service.kind)) < 2:
        return ""
    return (
        msg("weight {weight}, backup", weight=service.weight)
        if service.backup
        else msg("weight {weight}", weight=service.weight)
    )


def service_url(topology: Topology, service: Service) -> str:
    """Where a user of this host reaches `service`; empty for what is private to the stack."""
    return kind_of(service).url(topology, service) if topology.published(service) else ""


def notes(topology: Topology, runner: Runner) -> tuple[str, ...]:
    """What the stack does without being told, or leaves out by choice, one sentence each."""
    found = [note for kind in kinds() for note in kind.notes(topology)]
    if nobody := nobody_starts(topology, runner):
        found.append(nobody)
    # nginx's master is root by design: its workers drop to www-data.
    as_root = [s for s in topology.services if topology.places.as_root(s, topology.host)]
    if as_root:
        names = ", ".join(dict.fromkeys(s.kind for s in as_root))
        users = ", ".join(dict.fromkeys(s.facts.user for s in as_root))
        found.append(
            msg(
                "running as root: {names}; no user {users} that reaches {parent} and this Python "
                "(`techsapo doctor` says more)",
                names=names,
                users=users,
                parent=topology.layout.state.parent,
            )
        )
    return tuple(found)
