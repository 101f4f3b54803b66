"""What this host offers to a stack, and what is missing of it: executables, or Docker and images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from techsapo_ops.engines.auto import OLDEST_DAEMON, Image, names_of, present_or_base, too_old
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import facts
from techsapo_ops.stack.health import HostFinding, HostReport, Level
from techsapo_ops.stack.topology import Topology

if TYPE_CHECKING:
    from techsapo_ops.engines.compose.recorded import ComposeStack


def report_of_programs(topology: Topology) -> HostReport:
    """The executable of each kind, or the package that brings it."""
    return HostReport(tuple(_programs(topology)))


def _programs(topology: Topology) -> Iterator[HostFinding]:
    seen = set()
    for service in topology.services:
        if service.kind not in seen and service.binary is not None:
            yield HostFinding("service", service.kind, Level.OK, service.binary)
        seen.add(service.kind)
    catalogue = facts()
    for absent in topology.absent:
        package = catalogue[absent.kind].package
        lacks_binary = catalogue[absent.kind].binary not in topology.host.binaries
        if package is not None and lacks_binary:
            remedy = msg("Debian package {package}", package=package)
            yield HostFinding("service", absent.kind, Level.MISSING, absent.reason, remedy, package)
        else:
            yield HostFinding("service", absent.kind, Level.NOTE, absent.reason, absent.remedy)


@dataclass(frozen=True, slots=True)
class DockerFacts:
    """`version` is the daemon's, None where none answers, `compose` the plugin's.

    `images` says of each image that the stack needs whether it is here, or what it is built from.
    `ports` are those of this host that lead into the stack's own containers.
    """

    version: str | None = None
    compose: str | None = None
    images: Mapping[str, bool] = field(default_factory=dict)
    ports: frozenset[int] = frozenset()
    trouble: str = ""


def docker_facts(stack: ComposeStack, images: Sequence[Image]) -> DockerFacts:
    """Ask the daemon for what a stack needs. Raises nothing for what it finds."""
    version = stack.docker.answers()
    if version is None:
        return DockerFacts()
    compose = stack.docker.compose_version()
    try:
        present = stack.docker.image_ids(names_of(images))
        containers = stack.containers()
    except OpsError as error:
        return DockerFacts(version, compose, trouble=error.message)
    here = {image.reference: present_or_base(image, present) for image in images}
    ports = frozenset(p.port for c in containers.values() if c.running for p in c.published)
    return DockerFacts(version, compose, here, ports)


def report_of_docker(topology: Topology, docker: DockerFacts) -> HostReport:
    """Docker, its plugin and the images, and the ports that the stack's containers hold."""
    return HostReport(tuple(_docker_findings(topology, docker)), docker.ports)


def _docker_findings(topology: Topology, docker: DockerFacts) -> Iterator[HostFinding]:
    path = topology.host.binaries.get("docker")
    if path is None:
        detail = msg("docker is not on PATH, but `engine: compose` needs docker")
        yield HostFinding("service", "docker", Level.MISSING, detail, package="docker.io")
        return
    if docker.version is None:
        remedy = msg(
            "start Docker (`systemctl start docker`), and run as root or add this user to the group docker"
        )
        yield HostFinding(
            "service", "docker", Level.MISSING, msg("no Docker daemon answers this user"), remedy
        )
        return
    daemon = msg("daemon {version}, {found}", version=docker.version, found=path)
    if too_old(docker.version):
        remedy = msg(
            "Docker Engine {oldest_daemon} or newer, from https://docs.docker.com/engine/install/",
            oldest_daemon=OLDEST_DAEMON,
        )
        yield HostFinding("service", "docker", Level.MISSING, daemon, remedy)
    else:
        yield HostFinding("service", "docker", Level.OK, daemon)
    if docker.compose is None:
        detail = msg("docker has no compose plugin")
        yield HostFinding("service", "docker compose", Level.MISSING, detail, package="docker-compose")
        return
    yield HostFinding("service", "docker compose", Level.OK, docker.compose)
    if docker.trouble:
        yield HostFinding("service", "project", Level.MISSING, docker.trouble)
    for image, here in docker.images.items():
        if here:
            yield HostFinding("image", image, Level.OK, msg("on this host, or built here"))
        else:
            remedy = msg(
                "`techsapo up` pulls the image; or, under `images:`, name an image that this host already has"
            )
            yield HostFinding("image", image, Level.NOTE, msg("not on this host yet"), remedy)
