"""What services of several machines use, as `docker stats` of each machine says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.engines.swarm.recorded import SwarmStack
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.machine import Machine
from techsapo_ops.stack.observed import Usage


def facts(machine: str, state: str = "running") -> ContainerFacts:
    return ContainerFacts(
        f"id-{machine}", f"shop_redis-{machine}.1", "shop", f"redis-{machine}", Path("/"), state,
        "sha256:1", "redis:8", "d",
    )  # fmt: skip


class Measured(Fleet):
    """Machines of which each runs one Redis, and measures what it is asked for and nothing else."""

    def __init__(self, *found: ContainerFacts) -> None:
        super().__init__(self, "docker", {name: f"unix:///{name}" for name in "abc"})
        self._found = found

    def containers(self, project: str | None = None) -> tuple[ContainerFacts, ...]:
        """Those that are there; where each is is told by its name."""
        self._where.update({c.id: c.id.removeprefix("id-") for c in self._found})
        return self._found

    def image_ids(self, references: Any, timeout: float = 60.0) -> dict[str, str]:
        """None."""
        return {}

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        """As the docker client of one machine, whose last line ends as well."""
        client, host, machine, *words = command.argv
        assert (client, host) == ("docker", "--host")
        assert words[:5] == ["stats", "--no-stream", "--no-trunc", "--format", "{{json .}}"]
        assert words[5:] == [f"id-{machine.removeprefix('unix:///')}"]
        line = {"ID": words[5], "CPUPerc": "1.50%", "MemUsage": "12.5MiB / 1GiB"}
        return Completed(command, 0, (json.dumps(line) + "\n").encode(), b"")


def usage(tmp_path: Path, *found: ContainerFacts) -> dict[str, Usage | None]:
    fleet = Measured(*found)
    machines = [Machine(name, f"10.0.0.{number}", name) for number, name in enumerate(fleet.members)]
    seen = SwarmStack(Layout(tmp_path, tmp_path), "shop", fleet, machines).observe(measure=True)
    return {name: service.usage for name, service in seen.services.items()}


def test_each_machine_is_asked_for_its_own(tmp_path: Path) -> None:
    used = Usage(1.5, int(12.5 * 1024**2))
    found = usage(tmp_path, facts("a"), facts("b", "exited"), facts("c"))
    assert found == {"redis-a": used, "redis-b": None, "redis-c": used}
