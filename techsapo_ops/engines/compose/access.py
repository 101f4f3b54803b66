"""Reaches into the containers of a stack, and beside them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from typing_extensions import override

from techsapo_ops.adapters.docker import PROJECT, VOLUME, ContainerFacts, Docker
from techsapo_ops.adapters.process import Command
from techsapo_ops.engines.compose.recorded import ComposeStack
from techsapo_ops.engines.containers.scratch import scratch
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.problems import unknown
from techsapo_ops.stack.engine import Access, Scratch
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology


class ComposeAccess(ComposeStack, Access):
    """Of the stack of `topology`; see stack.engine.Access for what each method promises."""

    python = "python"
    enters_as_root = True

    def __init__(self, topology: Topology, docker: Docker) -> None:
        super().__init__(topology.layout, topology.spec.project, docker)
        self.topology = topology

    @override
    def enter(self, service: str, command: Command, *, root: bool = False) -> Command:
        return self.docker.entering(self._container(service)[1].id, command, user="0" if root else None)

    @override
    def beside(self, service: str, command: Command, *, image_of: str = "") -> Command:
        of_image = self._container(image_of or service)
        gone = self.topology.find(service) is None
        found, container = of_image if gone else self._container(service)
        folder = str(self.topology.data_dir(found))
        volumes = ["--volumes-from", container.id]
        if gone:  # its own volume stands in place of the other's, whose spec is there as well
            self._make_volume(service)
            volumes += ["--volume", f"{self._volume(service)}:{folder}"]
        return self.docker.beside(volumes, of_image[1].image, str(found.facts.uid), folder, command)

    @override
    def tool(self, service: str, command: Command) -> Command:
        return self.enter(service, command)

    @override
    def reaches(self, service: str) -> bool:
        return service in self.containers()

    @override
    def has_data(self, service: str, file: str, *, image_of: str = "") -> bool:
        look = self.beside(service, Command(("test", "-e", file)), image_of=image_of)
        done = self.docker.attempt(*look.argv[1:])
        if done.code not in {0, 1}:
            raise OpsError(
                msg("cannot look into the data of {service}: {output}", service=service, output=done.output)
            )
        return done.code == 0

    @override
    def removal(self, service: str) -> str:
        return msg("`techsapo down` and `docker volume rm {volume}`", volume=self._volume(service))

    @override
    def left(self, kind: str) -> tuple[str, ...]:
        label, form = f"label={PROJECT}={self.project}", f'{{{{.Label "{VOLUME}"}}}}'
        listed = self.docker.call("volume", "ls", "--filter", label, "--format", form).split()
        mine = sorted(name for name in listed if name == kind or name.startswith(f"{kind}-"))
        return tuple(name for name in mine if self.topology.find(name) is None)

    def _make_volume(self, service: str) -> None:
        """Make a volume unless it is there. The labels are Compose's own, so that it knows it again."""
        labels = ("--label", f"{PROJECT}={self.project}", "--label", f"{VOLUME}={service}")
        self.docker.call("volume", "create", *labels, self._volume(service))

    def _volume(self, service: str) -> str:
        return f"{self.project}_{service}"

    @override
    def halt(self, service: str) -> None:
        self.forget()
        self.docker.call("stop", self._container(service)[1].id, timeout=120)

    @override
    def scratch(
        self, service: str, *, seed: Callable[[Path], None] | None = None
    ) -> AbstractContextManager[Scratch]:
        found = self.topology.find(service)
        if found is None:
            raise unknown(msg("service"), service, [s.name for s in self.topology.services])
        image = self.topology.spec.images.get(found.kind, found.facts.image)  # type: ignore[call-overload] # a kind
        return scratch(found, image, self.topology, self.docker, seed)

    def _container(self, service: str) -> tuple[Service, ContainerFacts]:
        found = self.topology.find(service)
        containers = self.containers()
        if found is None or found.name not in containers:
            raise unknown(msg("service"), service, list(containers))
        return found, containers[found.name]
