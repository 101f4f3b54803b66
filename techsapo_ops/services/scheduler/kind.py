"""The scheduler: starts the jobs, where `schedule.by` is service.

In containers there is one only where it may have the Docker daemon's socket.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from techsapo_ops.stack.kind import LOOPBACK, Kind, Wanted
from techsapo_ops.stack.layout import SCHEDULER, SCHEDULER_STOP_SECONDS
from techsapo_ops.stack.service_facts import HEARTBEAT, Probe, ServiceFacts

if TYPE_CHECKING:
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.container import Build, Container, Package
    from techsapo_ops.stack.desired import Program
    from techsapo_ops.stack.places import Places
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.templates import Templates
    from techsapo_ops.stack.topology import Topology


class Scheduler(Kind):
    """`techsapo jobs schedule`."""

    facts = ServiceFacts(
        kind=SCHEDULER,
        title="scheduler",
        image="techsapo/scheduler:local",
        # It listens nowhere, and stays who started it: jobs read and write what is that user's.
        port=0,
        user="",
        uid=0,
        probe=Probe(HEARTBEAT),
    )
    comes_last = True  # jobs ask the others

    def instances(self, spec: Spec, places: Places) -> Iterable[Wanted]:
        """One, where it can reach the services."""
        reaches = not places.from_images or spec.schedule.docker_socket is not None
        if spec.schedule.by == "service" and reaches:
            yield Wanted(self.name, LOOPBACK, 0)

    def program(self, topology: Topology, service: Service) -> Program:
        """`techsapo jobs schedule` with the Python that runs the tool; it reads its configuration again."""
        from techsapo_ops.services.scheduler.timetable import scheduler_argv, scheduler_environment
        from techsapo_ops.stack.desired import Program

        return Program(
            service.name,
            scheduler_argv(topology),
            topology.layout.logs,
            environment=scheduler_environment(),
            stop_seconds=SCHEDULER_STOP_SECONDS,
        )

    def container(self, topology: Topology, service: Service) -> Container:  # noqa: ARG002 - there is one
        """The scheduler with what the jobs need of the host."""
        from techsapo_ops.services.scheduler import container as given
        from techsapo_ops.services.scheduler.timetable import schedule_words
        from techsapo_ops.stack.container import Container

        return Container(
            command=schedule_words(topology.layout),
            port=0,
            # That its process runs, Docker sees by itself; whether it may talk to the daemon, this asks.
            healthcheck=("docker", "version", "--format", "{{.Server.Version}}"),
            environment=given.environment(topology),
            binds=given.binds(topology),
            memory_mb=512,
            pids=512,
            stop_seconds=SCHEDULER_STOP_SECONDS + 5,
            extra=given.privileges(topology),
        )

    def build(self, topology: Topology, templates: Templates, package: Package) -> Build:
        """An image with this package, the docker client and, for off-site backups, restic."""
        from techsapo_ops.services.app.image import (
            base_image,
            docker_cli_image,
            dockerfile_values,
            restic_image,
        )
        from techsapo_ops.stack.container import Build

        spec = topology.spec
        text = templates.render(
            "docker/scheduler.Dockerfile.j2",
            **dockerfile_values(topology, package),
            docker_cli=docker_cli_image(spec),
            restic=restic_image(spec),
        )
        tag = package.tag(base_image(spec), text)
        return Build("docker/scheduler/Dockerfile", text, f"techsapo/scheduler:{tag}", package.source)

    def built_from(self, spec: Spec) -> tuple[str, ...]:
        """The app's, and those that the programs come from."""
        from techsapo_ops.services.app.image import base_image, docker_cli_image, restic_image

        restic = restic_image(spec)
        return base_image(spec), docker_cli_image(spec), *((restic,) if restic is not None else ())
