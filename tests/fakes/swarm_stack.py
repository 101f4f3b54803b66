"""A stack that runs on the machines of swarm_hosts.py: its containers, and what is done to them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stacks import spec, topology

from techsapo_ops.adapters.container_facts import STACK, STACK_SERVICE
from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.process import Command
from techsapo_ops.engines.swarm.engine import SwarmEngine
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.topology import Topology
from tests.fakes.swarm_hosts import HostFake, HostsFake

Answer = Callable[[str, tuple[str, ...], Command], str]
"""What a command says in the container of a service; OpsError for one that fails."""


def well(_: str, __: tuple[str, ...], ___: Command) -> str:
    """Every command ends well, and says nothing."""
    return ""


class StackFake(HostsFake):
    """Every service of `topology` runs; `answer` is what they say. `done` has what was changed, in order."""

    def __init__(self, topology: Topology, answer: Answer = well) -> None:
        super().__init__()
        self.joined()
        self.answer = answer
        self.done: list[tuple[str, ...]] = []
        self.states = {s.name: "running" for s in topology.services}
        self._on = {s.name: s.machine.name for s in topology.services}
        self._project = topology.spec.project

    def _ps(self, host: HostFake, words: tuple[str, ...], __: Command) -> str:
        assert "-q" in words, words
        return "\n".join(f"id-{name}" for name, on in self._on.items() if on == host.name)

    def _container_inspect(self, _: HostFake, words: tuple[str, ...], __: Command) -> str:
        return json.dumps([self._entry(word.removeprefix("id-")) for word in words[2:]])

    def _entry(self, name: str) -> dict[str, object]:
        started = "2026-11-27T03:00:00.1Z"
        state = {"Status": self.states[name], "Pid": 7, "ExitCode": 137, "StartedAt": started}
        labels = {STACK: self._project, STACK_SERVICE: f"{self._project}_{name}"}
        return {
            "Id": f"id-{name}", "Name": name, "Image": f"sha256:{name}", "RestartCount": 0,
            "Config": {"Labels": labels, "Image": f"image-of-{name}"}, "State": state, "HostConfig": {},
        }  # fmt: skip

    def _exec(self, host: HostFake, words: tuple[str, ...], command: Command) -> str:
        at = next(n for n, word in enumerate(words) if word.startswith("id-"))
        name = words[at].removeprefix("id-")
        if self.states[name] != "running" or self._on[name] != host.name:
            raise OpsError(f"Error response from daemon: container {words[at]} is not running")
        return self.answer(name, words[at + 1 :], command)

    def _kill(self, host: HostFake, words: tuple[str, ...], _: Command) -> str:
        names = [word.removeprefix("id-") for word in words[1:]]
        for name in names:
            if self.states[name] != "running":
                raise OpsError(f"Error response from daemon: cannot kill container: id-{name} is not running")
        self.done.append(("kill", host.name, *names))
        self.states.update(dict.fromkeys(names, "exited"))
        return ""

    def _rm(self, host: HostFake, words: tuple[str, ...], _: Command) -> str:
        self.done.append(("rm", host.name, words[-1]))
        return ""

    def _stop(self, host: HostFake, words: tuple[str, ...], _: Command) -> str:
        self.done.append(("stop", host.name, words[-1]))
        return ""

    def _run(self, host: HostFake, words: tuple[str, ...], command: Command) -> str:
        if "--cap-add" not in words:
            return super()._run(host, words, command)
        self.done.append(("run", host.name, *words[words.index("drill") + 1 :]))
        return ""

    def _version(self, host: HostFake, _: tuple[str, ...], __: Command) -> str:
        return host.version

    def _node_update(self, host: HostFake, words: tuple[str, ...], command: Command) -> str:
        self.done.append(words)
        return super()._node_update(host, words, command)


def on_three_hosts(folder: Path, **sections: Any) -> Topology:
    machines = {n: {"address": f"10.0.0.{i}", "docker": f"ssh://ops@{n}"} for i, n in enumerate("abc", 1)}
    return topology(spec(engine="swarm", hosts=machines, mysql={}, **sections), folder, "swarm")


def running(
    stack: Topology, fake: Callable[[Topology], StackFake] = StackFake
) -> tuple[SwarmEngine, StackFake]:
    """The engine of `stack`, and the hosts on which it runs."""
    hosts = fake(stack)
    return SwarmEngine(stack, Fleet(hosts, "docker", {m.name: m.docker for m in stack.machines})), hosts
