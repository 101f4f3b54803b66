"""The nodes of the Swarm: whether all machines are there, and the labels by which services find theirs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from techsapo_ops.adapters.away import reasons_of
from techsapo_ops.adapters.container_facts import STACK
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.machine import Machine
from techsapo_ops.stack.stack_file import NODE_LABEL

_BOUND = f"node.labels.{NODE_LABEL} == "
"""With a label's value behind it: where a service may run, see render.swarm."""
_NODE = "{{.ID}} {{.Hostname}} {{.Availability}}"


def require_all(fleet: Fleet) -> None:
    """Raise OpsError where a machine did not answer at the last look."""
    if fleet.unreachable:
        raise OpsError(
            msg("not all hosts can be reached ({reasons}), and an apply is of all of them",
                reasons=reasons_of(fleet.unreachable)),
            msg("what runs goes on; bring {name} back, or let a new machine take its place: `techsapo hosts "
                "replace {name}`; until there is one, `techsapo hosts remove {name} --gone` lets `down` and "
                "the like do without it", name=next(iter(fleet.unreachable))),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the Swarm, as its managers have it."""

    id: str
    hostname: str
    availability: str


def nodes(fleet: Fleet) -> tuple[Node, ...]:
    """All nodes of the Swarm, by one question. Raises OpsError where no manager answers."""
    lines = fleet.manager.call("node", "ls", "--format", _NODE).splitlines()
    return tuple(Node(*line.split(" ")) for line in lines if line)


def require_members(there: Sequence[Node], machines: Sequence[Machine]) -> None:
    """Raise OpsError for a machine that is no node of the Swarm, or whose node has another name."""
    names = {node.hostname for node in there}
    for machine in machines:
        if machine.name not in names:
            raise OpsError(
                msg("{name} is no node of the Swarm; its nodes are {nodes}",
                    name=machine.name, nodes=", ".join(sorted(names))),
                msg("`hosts` names a host as it calls itself; `techsapo hosts add {name}` lets it join",
                    name=machine.name),
            )  # fmt: skip


def require_active(there: Sequence[Node], machines: Sequence[Machine]) -> None:
    """Raise OpsError where somebody has drained a machine: nothing would start there."""
    drained = {node.hostname for node in there if node.availability == "Drain"}
    for machine in machines:
        if machine.name in drained:
            raise OpsError(
                msg("{name} is drained, and an apply is of all hosts", name=machine.name),
                msg("`techsapo hosts activate {name}` lets the stack run there again", name=machine.name),
            )


def label(fleet: Fleet, project: str, machines: Sequence[Machine]) -> None:
    """Label each machine's node, where it is not. No other node keeps such a label, unless services of
    another stack than `project` have their place by it. Raises OpsError.
    """
    there = nodes(fleet)
    require_members(there, machines)
    manager = fleet.manager
    form = '{{json .ID}} {{json .Description.Hostname}} {{json (index .Spec.Labels "%s")}}' % NODE_LABEL  # noqa: UP031 - braces
    lines = manager.call("node", "inspect", "--format", form, *(node.id for node in there)).splitlines()
    decoded = [[json.loads(word) for word in line.split(" ")] for line in lines if line]
    ids = {hostname: id_ for id_, hostname, _ in decoded}
    labels = {hostname: found or "" for _, hostname, found in decoded}
    wanted = {machine.name: machine.name for machine in machines}
    left = {hostname for hostname, found in labels.items() if found and hostname not in wanted}
    kept = _places_of_others(manager, project) if left else frozenset()
    for hostname, id_ in ids.items():
        new = wanted.get(hostname, "")
        if labels[hostname] == new or (not new and labels[hostname] in kept):
            continue
        option = ("--label-add", f"{NODE_LABEL}={new}") if new else ("--label-rm", NODE_LABEL)
        manager.call("node", "update", *option, id_)


def _places_of_others(manager: Docker, project: str) -> frozenset[str]:
    """The labels of nodes on which services of other stacks may run."""
    services = manager.call("service", "ls", "--quiet").split()
    if not services:
        return frozenset()
    form = "{{json .Spec.Labels}} {{json .Spec.TaskTemplate.Placement}}"
    # One that is gone meanwhile is told of on stderr; the others are printed all the same.
    said = manager.attempt("service", "inspect", "--format", form, *services).stdout.decode()
    found: set[str] = set()
    for line in filter(None, said.splitlines()):
        labels, end = json.JSONDecoder().raw_decode(line)
        placement = json.loads(line[end:])
        if (labels or {}).get(STACK) != project:
            found |= {word.removeprefix(_BOUND) for word in (placement or {}).get("Constraints") or ()}
    return frozenset(found)
