"""The labels by which services find their machines."""

from __future__ import annotations

import json

from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.engines.swarm.nodes import label
from techsapo_ops.stack.machine import Machine
from tests.fakes.swarm_nodes import nodes_answer

STACK = "com.docker.stack.namespace"


class Swarm:
    """A Runner: a manager that knows nodes with labels, and services by stack and label. Nothing else."""

    def __init__(self, labels: dict[str, str], *services: tuple[str, str]) -> None:
        self.labels = labels
        self._services = [
            ({STACK: of} if of else {}, {"Constraints": [f"node.labels.techsapo == {on}"]} if on else None)
            for of, on in services
        ]

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        """As a Runner."""
        del timeout
        return Completed(command, 0, "\n".join(self._said(command.argv[3:])).encode(), b"")

    def _said(self, words: tuple[str, ...]) -> list[str]:
        match words[:2]:
            case ("node", "ls"):
                return [f"node-{name}" for name in self.labels]
            case ("system", "dial-stdio"):
                return [nodes_answer(self.labels)]
            case ("node", "update"):
                name = words[-1].removeprefix("node-")
                self.labels[name] = words[3].partition("=")[2] if words[2] == "--label-add" else ""
                return []
            case ("service", "ls"):
                return [str(number) for number in range(len(self._services))]
            case ("service", "inspect"):
                return [f"{json.dumps(labels)} {json.dumps(place)}" for labels, place in self._services]
        raise AssertionError(words)


def labelled(swarm: Swarm, machines: str) -> dict[str, str]:
    """The labels once the stack `shop` is to stand on `machines`."""
    fleet = Fleet(swarm, "docker", {"a": "ssh://a"})
    wanted = [Machine(name, f"10.0.0.{number}", f"ssh://{name}") for number, name in enumerate(machines, 1)]
    label(fleet, "shop", wanted)
    return {name: found for name, found in swarm.labels.items() if found}


def test_each_machine_is_labelled_and_one_that_was_left_is_not() -> None:
    swarm = Swarm(
        {"a": "a", "b": "", "c": "", "d": "d"}, ("shop", "a"), ("shop", "d"), ("", ""), ("other", "")
    )
    assert labelled(swarm, "abc") == {"a": "a", "b": "b", "c": "c"}


def test_the_machines_of_another_stack_keep_what_its_services_are_there_by() -> None:
    swarm = Swarm(
        {"a": "a", "b": "b", "c": "c", "d": "", "e": "e"}, ("other", "a"), ("other", "b"), ("shop", "e")
    )
    assert labelled(swarm, "bcd") == {"a": "a", "b": "b", "c": "c", "d": "d"}
