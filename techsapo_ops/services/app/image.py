"""The app's image, which is built here: this package and its locked dependencies."""

from __future__ import annotations

from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.container import Build, Package
from techsapo_ops.stack.templates import Templates
from techsapo_ops.stack.topology import Topology

IMAGE = "techsapo/app"
DOCKERFILE = "docker/app/Dockerfile"
BASE_IMAGE = "python:3.13-slim"


def base_image(spec: Spec) -> str:
    """What the app's image is built from."""
    return spec.images.get("base", BASE_IMAGE)


def app_build(topology: Topology, templates: Templates, package: Package) -> Build:
    """How the app's image is built."""
    app, base = topology.of_kind("app")[0].facts, base_image(topology.spec)
    text = templates.render(
        "docker/app.Dockerfile.j2",
        base=base,
        uid=app.uid,
        data=app.container_data,
        lock=package.lock,
        # Both are part of the package's content, by which it is known that a container runs the same code.
        otel_lock=package.otel_lock,
        installed="requirements-otel.lock" if topology.spec.app.tracing is not None else "requirements.lock",
        build=package.build,
        templates=package.templates,
    )
    return Build(DOCKERFILE, text, f"{IMAGE}:{package.tag(base, text)}", package.source)
