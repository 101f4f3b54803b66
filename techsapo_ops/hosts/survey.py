"""Asks all machines of a stack for facts, at the same time, and changes nothing."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from techsapo_ops.adapters.container_facts import STACK, STACK_SERVICE
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.questions import at_once
from techsapo_ops.engines.opening import on_several
from techsapo_ops.engines.state import StateFile, recorded_engine
from techsapo_ops.engines.swarm.nodes import SECONDS, Node, nodes_of
from techsapo_ops.errors import OpsError
from techsapo_ops.hosts.facts import PROBE_SECONDS, DaemonFacts, Probed, daemon_facts, probe
from techsapo_ops.services.registry import kind_of
from techsapo_ops.spec.ports import GOSSIP, RAFT
from techsapo_ops.stack.places import named_places
from techsapo_ops.stack.service import Machine
from techsapo_ops.stack.topology import Topology

_LATE = 1.0


@dataclass(frozen=True, slots=True)
class Survey:
    """What the machines answered; `silent` has the reason for each that did not."""

    daemons: Mapping[str, DaemonFacts]
    silent: Mapping[str, OpsError]
    probed: Mapping[str, Probed | Exception] = field(default_factory=dict)
    running: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The stack's services whose container runs on a machine."""
    nodes: tuple[Node, ...] | None = None
    """As a manager lists them; None where none was asked, or no quorum answered."""
    quorum: str = ""
    """Why no manager listed them, where one was asked."""


def survey(topology: Topology, fleet: Fleet, machines: Sequence[Machine]) -> Survey:
    """Ask all machines, each for SECONDS at most for a question."""
    members = {m.name: fleet.members[m.name] for m in machines}
    daemons, silent = daemons_of(fleet, machines)
    wanted = images_of(topology)

    managers = [name for name, facts in daemons.items() if facts.manages]
    asked: dict[str, Callable[[], object]] = {}
    for name in daemons:
        docker = members[name]
        asked[f"images {name}"] = partial(docker.image_ids, wanted, timeout=SECONDS)
        asked[f"running {name}"] = partial(_running, docker, topology.spec.project)
        if name in managers:
            asked[f"nodes {name}"] = partial(nodes_of, docker)
    answers = at_once(asked, SECONDS + _LATE)
    others = [(m.name, m.address, port) for m in topology.machines for port in (RAFT, GOSSIP)]

    def probing(machine: Machine) -> Callable[[], Probed]:
        facts = daemons[machine.name]
        rest = [each for each in others if each[0] != machine.name]
        there = answers[f"images {machine.name}"]
        here = [image for image in wanted if isinstance(there, dict) and image in there]
        return lambda: probe(fleet.runner, members[machine.name], machine, facts, rest, here)

    probed = at_once({m.name: probing(m) for m in machines if m.name in daemons}, PROBE_SECONDS + _LATE)
    lists = [answers[f"nodes {name}"] for name in managers]
    nodes = next((each for each in lists if isinstance(each, tuple)), None)
    refusals = [str(each) for each in lists if isinstance(each, Exception)]
    running = {name: _set(answers[f"running {name}"]) for name in daemons}
    quorum = refusals[0] if refusals and nodes is None else ""
    return Survey(daemons, silent, probed, running, nodes, quorum)


def daemons_of(
    fleet: Fleet, machines: Sequence[Machine]
) -> tuple[dict[str, DaemonFacts], dict[str, OpsError]]:
    """What the Docker of each machine says, and why the others do not."""
    answers = at_once(
        {m.name: partial(daemon_facts, fleet.members[m.name]) for m in machines}, SECONDS + _LATE
    )
    daemons = {name: facts for name, facts in answers.items() if isinstance(facts, DaemonFacts)}
    silent = {
        name: error if isinstance(error, OpsError) else OpsError(str(error))
        for name, error in answers.items()
        if not isinstance(error, DaemonFacts)
    }
    return daemons, silent


def _set(value: object) -> frozenset[str]:
    return value if isinstance(value, frozenset) else frozenset()


def _running(docker: Docker, project: str) -> frozenset[str]:
    form = f'{{{{.Label "{STACK_SERVICE}"}}}}'
    said = docker.call("ps", "--filter", f"label={STACK}={project}", "--format", form, timeout=SECONDS)
    return frozenset(line.removeprefix(f"{project}_") for line in said.split())


def images_of(topology: Topology) -> tuple[str, ...]:
    """The images of the stack that are pulled, those first that have a shell and can ask over the network."""
    spec = topology.spec
    pulled = [service for service in topology.services if not service.facts.runs_package]
    servers = sorted(pulled, key=lambda s: not (s.facts.data and s.facts.on_machine))
    images = [spec.image_of(service.kind, service.facts.image) for service in servers]
    return tuple(dict.fromkeys(image for image in (spec.images.get("base"), *images) if image))


def freed_ports(topology: Topology, machine: str) -> frozenset[int]:
    """The ports of a machine that the stack has there alone, before it moves to several: `up` stops it first.

    Only where that machine is this host, whose state directory tells.
    """
    state = topology.layout.state
    last = recorded_engine(state)
    places = named_places(last.engine) if last is not None else None
    if last is None or places is None or on_several(topology.layout) or machine != socket.gethostname():
        return frozenset()
    try:
        records = StateFile(state, last.engine).load().values()
    except OpsError:  # `up` says so
        return frozenset()
    had = {(record.kind, record.port) for record in records}
    here = [each for each in topology.on(machine) if places.publishes(each) or each.facts.on_host]
    same = {each.name for each in here if (each.kind, each.port) in had}
    return frozenset(port for port, name in ports_of(topology, machine).items() if name in same)


def ports_of(topology: Topology, machine: str) -> dict[int, str]:
    """The ports of a machine that services of the stack have there, and whose each is."""
    ports = {}
    for service in topology.on(machine):
        if (service.facts.on_machine or service.facts.on_host) and service.port:
            ports[service.port] = service.name
        if service.facts.front:
            ports |= {here: service.name for _, here in kind_of(service).ports(topology, service)}
    return ports
