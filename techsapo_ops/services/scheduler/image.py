"""The scheduler's image, which is built here: the app's, and the programs that jobs run."""

from __future__ import annotations

from techsapo_ops.services.app.image import base_image, docker_cli_image, dockerfile_values, restic_image
from techsapo_ops.stack.container import Build, Package
from techsapo_ops.stack.templates import Templates
from techsapo_ops.stack.topology import Topology

IMAGE = "techsapo/scheduler"
DOCKERFILE = "docker/scheduler/Dockerfile"


def scheduler_build(topology: Topology, templates: Templates, package: Package) -> Build:
    """How the scheduler's image is built."""
    spec = topology.spec
    text = templates.render(
        "docker/scheduler.Dockerfile.j2",
        **dockerfile_values(topology, package),
        docker_cli=docker_cli_image(spec),
        restic=restic_image(spec),
    )
    return Build(DOCKERFILE, text, f"{IMAGE}:{package.tag(base_image(spec), text)}", package.source)
