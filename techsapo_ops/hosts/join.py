"""Machines join the Swarm of their stack, as managers; the first ones make it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.container_facts import STACK
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.swarm import post
from techsapo_ops.adapters.unreachable import plainly
from techsapo_ops.engines.at_work import at_work
from techsapo_ops.engines.swarm.machines_note import noted_machines
from techsapo_ops.engines.swarm.nodes import Node, nodes_of
from techsapo_ops.errors import OpsError
from techsapo_ops.hosts.check import HEARTBEAT
from techsapo_ops.hosts.facts import DaemonFacts, renaming
from techsapo_ops.hosts.survey import daemons_of
from techsapo_ops.messages import msg
from techsapo_ops.spec.ports import RAFT
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.service import Machine
from techsapo_ops.stack.stack_file import NODE_LABEL

_JOIN_SECONDS = 60.0
_READY_SECONDS = 120.0
_PAUSE = 0.5


@dataclass(frozen=True, slots=True)
class Joined:
    """What became of each machine: `began` names the one that made the Swarm, `joined` those that joined."""

    began: str
    joined: tuple[str, ...]
    already: tuple[str, ...]
    unlabelled: tuple[str, ...] = ()
    """Those that get their label, and with it their services, by the next `up`."""


@contextmanager
def beside_others(fleet: Fleet, layout: Layout, wait: float, warn: Callable[[str], None]) -> Iterator[None]:
    """Be the only techsapo at work where the hosts are in a Swarm already, and share what comes of it.

    A machine may have the name of one that other hosts take for known. Raises OpsError where somebody else is
    at work for longer than `wait` seconds.
    """
    if noted_machines(layout.state).machines and _swarm_answers(fleet):
        with at_work(layout, wait, warn):
            yield
    else:  # nothing was ever brought up, or all are to be joined anew
        yield


def _swarm_answers(fleet: Fleet) -> bool:
    try:
        return fleet.manager is not None
    except OpsError:
        return False


def add(
    fleet: Fleet,
    project: str,
    machines: Sequence[Machine],
    names: Sequence[str],
    say: Callable[[str], None],
    pause: Callable[[float], None] = time.sleep,
) -> Joined:
    """Let the machines of these names join, all when empty, one after another, each until it is ready.

    Where none of `machines` is in a Swarm, the first one makes it. Raises OpsError where one can't be
    reached or calls itself otherwise, where one is in another Swarm, and for what Docker refuses; what joined
    before stays, and the next call goes on.
    """
    chosen = [m for m in machines if not names or m.name in names]
    daemons, silent = daemons_of(fleet, machines)
    for machine in chosen:
        require_able(machine, daemons, silent)
    inside = _inside(daemons)
    began = ""
    if inside is None:
        _require_alone(machines, daemons, silent)
        first, began = chosen[0], chosen[0].name
        say(msg("creating the Swarm on {name}", name=first.name))
        _make(fleet.members[first.name], first)
        inside = first.name
    manager = fleet.members[inside]
    nodes = nodes_of(manager)
    _set_heartbeat(manager, daemons.get(inside))
    joined, already = [], []
    by_id = {node.id: node for node in nodes}
    for machine in chosen:
        daemon = daemons[machine.name]
        if machine.name == began:
            continue
        if daemon.joined and daemon.node in by_id:
            already.append(machine.name)
            if not by_id[daemon.node].reach:
                manager.call("node", "promote", daemon.node)
            continue
        if daemon.joined:
            raise OpsError(
                msg("host {name} is in another Swarm", name=machine.name),
                msg(
                    "if nothing in that Swarm is needed any more, run on that host: `docker swarm leave "
                    "--force`"
                ),
            )
        _require_new(machine, nodes)
        say(msg("host {name} is joining the Swarm", name=machine.name))
        _join(fleet.members[machine.name], manager, machine, next(m for m in machines if m.name == inside))
        _wait_ready(manager, machine, pause)
        joined.append(machine.name)
    return Joined(began, tuple(joined), tuple(already), _label(manager, project, chosen))


def require_able(machine: Machine, daemons: dict[str, DaemonFacts], silent: dict[str, OpsError]) -> None:
    """Raise OpsError where a machine does not answer, or calls itself otherwise than the spec does."""
    if machine.name in silent:
        refusal = plainly(silent[machine.name].message, machine.name, machine.docker)
        raise OpsError(
            msg("{name} ({way}): {why}", name=machine.name, way=machine.docker, why=refusal.why),
            refusal.remedy,
        )
    if daemons[machine.name].name != machine.name:
        daemon = daemons[machine.name]
        words = msg("the host name of {key} is {name}", key=machine.name, name=daemon.name)
        raise OpsError(words, renaming(machine, daemon))


def _inside(daemons: dict[str, DaemonFacts]) -> str | None:
    """A machine whose manager can let others join. Raises OpsError where there is a Swarm without one."""
    able = [name for name, daemon in daemons.items() if daemon.manages and daemon.state == "active"]
    clusters = {daemons[name].cluster for name in able}
    if len(clusters - {""}) > 1:
        raise OpsError(
            msg("the hosts are in different Swarms: {names}", names=", ".join(able)),
            msg("on the host that is in the wrong Swarm, run `docker swarm leave --force`"),
        )
    if able:
        return able[0]
    stuck = [f"{name}: {d.error or d.state}" for name, d in daemons.items() if d.joined]
    if stuck:
        raise OpsError(
            msg("the Swarm of the hosts does not answer ({stuck})", stuck="; ".join(stuck)),
            msg("more than half of the managers must answer; see docs/three-machines.md"),
        )
    return None


def _require_alone(
    machines: Sequence[Machine], daemons: dict[str, DaemonFacts], silent: dict[str, OpsError]
) -> None:
    """A second Swarm must not come up while one that can't be reached may be in the first."""
    unknown = [m for m in machines if m.name not in daemons]
    if unknown:
        why = plainly(silent[unknown[0].name].message, unknown[0].name, unknown[0].docker).why
        raise OpsError(
            msg(
                "host {name} does not answer, so it may already be in a Swarm: {why}",
                name=unknown[0].name,
                why=why,
            ),
            msg("all hosts must answer when the Swarm is created"),
        )


def _make(docker: Docker, machine: Machine) -> None:
    options = ("--advertise-addr", machine.address, "--dispatcher-heartbeat", f"{HEARTBEAT:.0f}s")
    docker.call("swarm", "init", *options, timeout=_JOIN_SECONDS)


def _set_heartbeat(manager: Docker, daemon: DaemonFacts | None) -> None:
    if daemon is not None and 0 < daemon.heartbeat < HEARTBEAT:
        manager.call("swarm", "update", "--dispatcher-heartbeat", f"{HEARTBEAT:.0f}s", timeout=_JOIN_SECONDS)


def _require_new(machine: Machine, nodes: Sequence[Node]) -> None:
    """Two managers of one name or address: the lost one would count against the quorum for ever."""
    for node in nodes:
        if node.name == machine.name or node.address == machine.address:
            raise OpsError(
                msg("the Swarm already has a node {name} at {address}", name=node.name, address=node.address),
                msg("if that host is lost, run `techsapo hosts replace {name}`", name=machine.name),
            )


def _join(docker: Docker, manager: Docker, machine: Machine, to: Machine) -> None:
    token = manager.call("swarm", "join-token", "--quiet", "manager").strip()
    value = {
        "ListenAddr": f"0.0.0.0:{RAFT}",
        "AdvertiseAddr": machine.address,
        "RemoteAddrs": [str(Address(to.address, RAFT))],
        "JoinToken": token,
    }
    try:
        post(docker, "/swarm/join", value, _JOIN_SECONDS)
    except OpsError as error:
        raise OpsError(
            msg("host {name} can't join the Swarm: {why}", name=machine.name, why=error.message),
            msg(
                "`techsapo hosts check {name}` shows whether that host reaches the others", name=machine.name
            ),
        ) from None


def _wait_ready(manager: Docker, machine: Machine, pause: Callable[[float], None]) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        node = next((n for n in nodes_of(manager) if n.name == machine.name and n.ready), None)
        if node is not None and node.reach in {"leader", "reachable"}:
            return
        if time.monotonic() > deadline:
            raise OpsError(
                msg("host {name} joined the Swarm, but is not ready", name=machine.name),
                msg("`techsapo hosts check {name}`", name=machine.name),
            )
        pause(_PAUSE)


def _label(manager: Docker, project: str, machines: Sequence[Machine]) -> tuple[str, ...]:
    """Label the nodes of a stack that is not there yet; names of those that are left to `up`.

    Where the stack runs, a label starts services at once, before the machine has their images and files.
    """
    listed = manager.call("service", "ls", "--quiet", "--filter", f"label={STACK}={project}")
    left = []
    for node in nodes_of(manager):
        if any(node.name == m.name for m in machines) and node.label != node.name:
            if listed.strip():
                left.append(node.name)
            else:
                manager.call("node", "update", "--label-add", f"{NODE_LABEL}={node.name}", node.id)
    return tuple(left)
