"""The images that are built on a host, which nobody else has."""

from __future__ import annotations

from collections.abc import Collection

from techsapo_ops.adapters.docker import Docker

BUILT = ("techsapo/app", "techsapo/scheduler", "techsapo/keepalived")
"""Repositories of the images that are built here, and of no others."""


def discard(docker: Docker, ids: Collection[str]) -> None:
    """Remove the images built here among `ids`; Docker keeps one that a container of whichever stack has."""
    found = {name: image for repository in BUILT for name, image in docker.image_names(repository).items()}
    if names := [name for name, image in found.items() if image in ids]:
        docker.attempt("image", "rm", *names)
