"""The app's image, which is built here: this package and its locked dependencies."""

from __future__ import annotations

from typing import Any

from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.container import Build, Package
from techsapo_ops.stack.templates import Templates
from techsapo_ops.stack.topology import Topology

IMAGE = "techsapo/app"
DOCKERFILE = "docker/app/Dockerfile"
BASE_IMAGE = "python:3.13-slim"
DOCKER_CLI_IMAGE = "docker:28-cli"
RESTIC_IMAGE = "restic/restic:0.18.0"


def base_image(spec: Spec) -> str:
    """What the app's image is built from."""
    return spec.images.get("base", BASE_IMAGE)


def docker_cli_image(spec: Spec) -> str:
    """Where the scheduler's image gets the docker client and its compose plugin from."""
    return spec.images.get("docker-cli", DOCKER_CLI_IMAGE)


def restic_image(spec: Spec) -> str | None:
    """Where the scheduler's image gets restic from; None where backups are not copied off-site."""
    return spec.images.get("restic", RESTIC_IMAGE) if spec.backup.offsite is not None else None


def dockerfile_values(topology: Topology, package: Package) -> dict[str, Any]:
    """What a Dockerfile of this package is told."""
    app = topology.of_kind("app")[0].facts
    return {
        "base": base_image(topology.spec),
        "uid": app.uid,
        "data": app.container_data,
        "lock": package.lock,
        # Both are part of the package's content, by which it is known that a container runs the same code.
        "otel_lock": package.otel_lock,
        "installed": "requirements.lock",
        "build": package.build,
        "templates": package.templates,
    }


def app_build(topology: Topology, templates: Templates, package: Package) -> Build:
    """How the app's image is built."""
    values = dockerfile_values(topology, package)
    if topology.spec.app.tracing is not None:
        values["installed"] = "requirements-otel.lock"
    text = templates.render("docker/app.Dockerfile.j2", **values)
    base = base_image(topology.spec)
    return Build(DOCKERFILE, text, f"{IMAGE}:{package.tag(base, text)}", package.source)
