"""Reaches into the containers of a Docker Compose project, and beside them."""

from __future__ import annotations

from typing_extensions import override

from techsapo_ops.adapters.container_facts import PROJECT, VOLUME, ContainerFacts
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.process import Command
from techsapo_ops.engines.compose.recorded import ComposeStack
from techsapo_ops.engines.containers.access import ContainerAccess
from techsapo_ops.messages import msg
from techsapo_ops.spec.problems import unknown
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology


class ComposeAccess(ComposeStack, ContainerAccess):
    """Of the stack of `topology`; see stack.engine.Access for what each method promises."""

    def __init__(self, topology: Topology, docker: Docker) -> None:
        super().__init__(topology.layout, topology.spec.project, docker)
        self.topology = topology

    @override
    def beside(self, service: str, command: Command, *, image_of: str = "") -> Command:
        of_image = self._container(image_of or service)
        gone = self.topology.find(service) is None
        target, container = of_image if gone else self._container(service)
        folder = str(self.topology.data_dir(target))
        volumes = ["--volumes-from", container.id]
        if gone:  # its own volume stands in place of the other's, whose spec is there as well
            self._make_volume(service)
            volumes += ["--volume", f"{self._volume(service)}:{folder}"]
        return self.docker.beside(volumes, of_image[1].image, str(target.facts.uid), folder, command)

    @override
    def data_entries(self, service: str) -> frozenset[str] | None:
        target = self.topology.find(service)
        if target is None:
            return None
        folder = str(self.topology.data_dir(target))
        listing = Command(("ls", "-A", folder))
        container = self.glance().containers.get(service)
        if container is not None and container.running:
            done = self.docker.execute(container.id, listing)
        elif self.docker.attempt("volume", "inspect", self._volume(service)).code != 0:
            return frozenset()
        else:
            image = self.topology.spec.image_of(target.kind, target.facts.image)
            volumes = ["--volume", f"{self._volume(service)}:{folder}"]
            beside = self.docker.beside(volumes, image, str(target.facts.uid), "/", listing)
            done = self.docker.runner.run(beside)
        return frozenset(done.stdout.decode(errors="replace").split("\n")) - {""} if done.code == 0 else None

    @override
    def removal(self, service: str) -> str:
        return msg("run `techsapo down` and `docker volume rm {volume}`", volume=self._volume(service))

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
        try:
            self.docker.call("stop", self._container(service)[1].id, timeout=120)
        finally:
            self.forget()

    @override
    def reaches(self, service: str) -> bool:
        return service in self.glance().containers

    @override
    def _service(self, service: str) -> Service | None:
        return self.topology.find(service)

    @override
    def _container(self, service: str) -> tuple[Service, ContainerFacts]:
        target = self.topology.find(service)
        containers = self.glance().containers
        if target is None or target.name not in containers:
            raise unknown(msg("service"), service, list(containers))
        return target, containers[target.name]
