"""The nodes of the Swarm: whether all machines are there, the labels by which services find theirs, and which
are drained. And the network of the containers, which Swarm makes once and never changes.
"""

from __future__ import annotations

import ipaddress
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from techsapo_ops.adapters.container_facts import STACK
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.swarm import get
from techsapo_ops.adapters.textfile import Sample, read_textfile, write_textfile
from techsapo_ops.adapters.unreachable import reasons_of
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.models.machines import Swarm
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.service import Machine
from techsapo_ops.stack.stack_file import NODE_LABEL

_BOUND = f"node.labels.{NODE_LABEL} == "
"""With a label's value behind it: where a service may run, see render.swarm."""
SECONDS = 6.0
"""Longest time that a look waits for one machine."""
_DRAINED_FILE = "drained"
"""Name of the file of drained hosts, and value of its label `name`."""
DRAINED_METRIC = "techsapo_host_drained_timestamp_seconds"
DRAINED = "drained"
"""Its label that says which host; `host` says whose node exporter told it."""
_ENCRYPTED = "encrypted"


def require_all(fleet: Fleet) -> None:
    """Raise OpsError where a machine did not answer at the last look."""
    if fleet.unreachable:
        raise OpsError(
            msg("not all hosts can be reached ({reasons}), but an apply needs all hosts",
                reasons=reasons_of(fleet.unreachable)),
            msg("running services are not affected; bring host {name} back, or replace it with a new "
                "machine: `techsapo hosts replace {name}`; until then, `techsapo hosts remove {name} "
                "--gone` lets commands such as `down` work without that host",
                name=next(iter(fleet.unreachable))),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Node:
    """A node as a manager lists it. `availability` is active, pause or drain; `reach` is leader, reachable,
    unreachable, or empty for a worker; `label` is the name of its machine in the stack, where it has one.
    """

    id: str
    name: str
    ready: bool
    availability: str
    label: str
    reach: str
    address: str = ""


def nodes_of(manager: Docker, timeout: float = SECONDS) -> tuple[Node, ...]:
    """All nodes of the Swarm, by one question. Raises OpsError, also where no quorum answers."""
    return tuple(_node(entry) for entry in get(manager, "/nodes", timeout) or ())


def _node(entry: Mapping[str, Any]) -> Node:
    spec, status = entry.get("Spec") or {}, entry.get("Status") or {}
    manager = entry.get("ManagerStatus") or {}
    return Node(
        id=entry["ID"],
        name=(entry.get("Description") or {}).get("Hostname", ""),
        ready=status.get("State") == "ready",
        availability=spec.get("Availability", ""),
        label=(spec.get("Labels") or {}).get(NODE_LABEL, ""),
        reach="leader" if manager.get("Leader") else manager.get("Reachability", ""),
        address=(manager.get("Addr") or status.get("Addr", "")).rpartition(":")[0] or status.get("Addr", ""),
    )


def require_members(there: Sequence[Node], machines: Sequence[Machine]) -> None:
    """Raise OpsError for a machine that is no node of the Swarm, or whose node has another name."""
    names = {node.name for node in there}
    for machine in machines:
        if machine.name not in names:
            raise OpsError(
                msg("host {name} is not a node of the Swarm; the Swarm's nodes are {nodes}",
                    name=machine.name, nodes=", ".join(sorted(names))),
                msg("under `hosts`, each name must be the host's own hostname; `techsapo hosts add "
                    "{name}` lets the host join the Swarm",
                    name=machine.name),
            )  # fmt: skip


def require_active(there: Sequence[Node], machines: Sequence[Machine]) -> None:
    """Raise OpsError where somebody has drained a machine: nothing would start there."""
    drained = {node.name for node in there if node.availability == "drain"}
    for machine in machines:
        if machine.name in drained:
            raise OpsError(
                msg("host {name} is drained, but an apply needs all hosts", name=machine.name),
                msg(
                    "`techsapo hosts activate {name}` lets the stack run on that host again",
                    name=machine.name,
                ),
            )


def label(fleet: Fleet, project: str, machines: Sequence[Machine]) -> None:
    """Label each machine's node, where it is not. No other node keeps such a label, unless services of
    another stack than `project` have their place by it. Raises OpsError.
    """
    manager = fleet.manager
    there = nodes_of(manager)
    require_members(there, machines)
    wanted = {machine.name for machine in machines}
    left = any(node.label and node.name not in wanted for node in there)
    others = _places_of_others(manager, project) if left else frozenset()
    for node in there:
        if node.name in wanted and node.label != node.name:
            manager.call("node", "update", "--label-add", f"{NODE_LABEL}={node.name}", node.id)
        elif node.name not in wanted and node.label and node.label not in others:
            manager.call("node", "update", "--label-rm", NODE_LABEL, node.id)


def _places_of_others(manager: Docker, project: str) -> frozenset[str]:
    """The labels of nodes on which services of other stacks may run."""
    services = manager.call("service", "ls", "--quiet").split()
    if not services:
        return frozenset()
    form = "{{json .Spec.Labels}} {{json .Spec.TaskTemplate.Placement}}"
    # One that is gone meanwhile is told of on stderr; the others are printed all the same.
    said = manager.attempt("service", "inspect", "--format", form, *services).stdout.decode()
    places: set[str] = set()
    for line in filter(None, said.splitlines()):
        labels, end = json.JSONDecoder().raw_decode(line)
        placement = json.loads(line[end:])
        if (labels or {}).get(STACK) != project:
            places |= {word.removeprefix(_BOUND) for word in (placement or {}).get("Constraints") or ()}
    return frozenset(places)


def note_drained(layout: Layout, machines: Sequence[Machine], there: Sequence[Node]) -> None:
    """Tell Prometheus which of `machines` are drained, through the node exporters' textfile collector.

    Swarm's own list says it. So each delivery brings that, also after a command that was killed between the
    two, and of a host that somebody drained by Docker's own word. Raises OpsError.

    Of one that was before it stays since when; a file that says the same already is not written anew.
    """
    known = {s.labels[DRAINED]: s.value for s in read_textfile(layout.textfiles, _DRAINED_FILE)}
    names = {machine.name for machine in machines}
    drained = {node.name for node in there if node.availability == "drain"} & names
    if drained == known.keys():
        return
    now = time.time()
    samples = [Sample(DRAINED_METRIC, known.get(host, now), {DRAINED: host}) for host in sorted(drained)]
    write_textfile(layout.textfiles, _DRAINED_FILE, samples)


def require_network(fleet: Fleet, project: str, wanted: Swarm) -> None:
    """Remove the network where it is there and is not as `wanted`: a deployment would leave it as it is.

    Raises OpsError where something uses it.
    """
    name = f"{project}_net"
    asked = fleet.manager.attempt("network", "inspect", name)
    if asked.code != 0:
        if not fleet.manager.call("network", "ls", "--quiet", "--filter", f"name=^{name}$").split():
            return
        raise OpsError(fleet.manager.words(asked))
    (network,) = json.loads(asked.stdout)
    subnets = [each["Subnet"] for each in network["IPAM"]["Config"] or ()]
    encrypted = _ENCRYPTED in (network["Options"] or {})
    as_wanted = ipaddress.ip_network(wanted.subnet)
    if [ipaddress.ip_network(each) for each in subnets] != [as_wanted]:
        differs = msg(
            "the subnet is {found}, but swarm.subnet is {wanted}",
            found=", ".join(subnets),
            wanted=wanted.subnet,
        )
    elif encrypted != wanted.encrypted:
        differs = (
            msg("the network is encrypted, but swarm.encrypted is false")
            if encrypted
            else msg("the network is not encrypted, but swarm.encrypted is true")
        )
    else:
        return
    done = fleet.manager.attempt("network", "rm", network["Id"])
    if done.code != 0:
        raise OpsError(
            msg("the containers' network {name} can't be changed while it is used: {differs}", name=name,
                differs=differs),
            msg(
                "undo this change in the spec; or run `techsapo down`, then `techsapo up`: data is kept, but "
                "the stack does not answer in between"
            ),
        )  # fmt: skip
