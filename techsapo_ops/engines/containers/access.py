"""Reaches into the containers of a stack, and beside them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from typing_extensions import override

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.process import Command
from techsapo_ops.engines.containers.scratch import scratch
from techsapo_ops.engines.containers.stack import ContainerStack
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.problems import unknown
from techsapo_ops.stack.engine import Access, Scratch
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology


class ContainerAccess(ContainerStack, Access):
    """Of the stack of `topology`; see stack.engine.Access for what each method promises."""

    python = "python"
    enters_as_root = True

    topology: Topology

    @override
    def enter(self, service: str, command: Command, *, root: bool = False) -> Command:
        return self.docker.entering(self._container(service)[1].id, command, user="0" if root else None)

    @override
    def tool(self, service: str, command: Command) -> Command:
        return self.enter(service, command)

    @override
    def reaches(self, service: str) -> bool:
        return service in self.containers()

    @override
    def has_data(self, service: str, file: str, *, image_of: str = "") -> bool:
        look = self.beside(service, Command(("test", "-e", file)), image_of=image_of)
        done = self.docker.runner.run(look)
        if done.code not in {0, 1}:
            raise OpsError(
                msg("cannot look into the data of {service}: {output}", service=service, output=done.output)
            )
        return done.code == 0

    @override
    def scratch(
        self, service: str, *, seed: Callable[[Path], None] | None = None
    ) -> AbstractContextManager[Scratch]:
        found = self._found(service)
        if found is None:
            raise unknown(msg("service"), service, [s.name for s in self.topology.services])
        image = self.topology.spec.image_of(found.kind, found.facts.image)
        return scratch(found, image, self.topology, self._throwaway_docker(), seed)

    def _throwaway_docker(self) -> Docker:
        """The Docker of this computer, whose folders a throwaway container reads. Raises OpsError."""
        return self.docker

    @abstractmethod
    def _found(self, service: str) -> Service | None:
        """The service that a name means, or a kind that has one here; None for none."""

    @abstractmethod
    def _container(self, service: str) -> tuple[Service, ContainerFacts]:
        """The service that a name or a kind means, and its container. Raises OpsError where it has none."""
