"""What the scheduler's container is given beside its image: the host's files, network, PIDs and daemon.

It does what `techsapo jobs run` does on the host, with the same files, locks and addresses: so it has them
under the same names. The socket makes it as mighty as root; the rest makes it no mightier.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from techsapo_ops.errors import OpsError
from techsapo_ops.render.schedule import job_folders, scheduler_environment
from techsapo_ops.spec.layout import Layout
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.redact import secrets_of
from techsapo_ops.spec.topology import Topology

_SYSTEM = frozenset(
    Path("/", name)
    for name in (
        "", "bin", "boot", "dev", "etc", "lib", "lib64", "opt", "proc", "run", "sbin", "sys", "tmp", "usr",
        "usr/bin", "usr/lib", "usr/local", "var", "var/lib", "var/run",
    )
)  # fmt: skip
"""Folders that the container has of its own."""


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder of the host that the container sees under the same name."""

    path: Path
    writable: bool = False
    create: bool = False
    """Whether Docker may make it where it is not there."""


def places(spec: Spec, layout: Layout) -> tuple[Place, ...]:
    """What the jobs read and write: the project, what the spec names outside of it, and the socket.

    Raises OpsError for a folder that would hide the container's own.
    """
    project = layout.spec_file.parent
    found = []
    for named, field in [(project, "the project's folder"), *job_folders(spec, project)]:
        path = _plain(named)
        if path in _SYSTEM:
            raise OpsError(
                f"{field}: the scheduler's container can't be given {path}",
                "name a folder below it, or leave `schedule.docker_socket` out and let cron start the jobs",
            )
        found.append(Place(path, writable=True, create=path != project))
    # A file's folder, so that a file that is replaced is seen; but not one that the container has itself.
    files = (_plain(named) for named in _files(spec, project))
    found += [Place(file if file.parent in _SYSTEM else file.parent) for file in files]
    if spec.schedule.docker_socket is not None:
        found.append(Place(Path(spec.schedule.docker_socket)))
    kept: list[Place] = []
    for place in sorted(found, key=lambda place: (len(place.path.parts), not place.writable, place.path)):
        around = [p for p in kept if place.path.is_relative_to(p.path)]
        if not any(p.writable or not place.writable for p in around):
            kept.append(place)
    return tuple(kept)


def _plain(path: Path) -> Path:
    """Without `..`, which a mount's target may not have."""
    return Path(os.path.normpath(path))


def _files(spec: Spec, project: Path) -> Iterator[Path]:
    """Files and folders that jobs read."""
    named = [secret.file for secret in secrets_of(spec).values()]
    for certificate in spec.certificates.values():
        named += [certificate.ca_file, certificate.certificate_file, certificate.private_key_file]
    named += [*spec.backup.config.paths, spec.template_overrides]
    yield from (project / Path(name).expanduser() for name in named if name is not None)


def environment(spec: Spec, topology: Topology) -> dict[str, str]:
    """Its variables: the daemon's socket, and the owner's home and time zone."""
    owner = topology.host.owner
    zone = {"TZ": owner.zone} if owner.zone is not None else {}
    return {
        **scheduler_environment(),
        **zone,
        "HOME": owner.home,
        "DOCKER_CONFIG": "/tmp/docker",  # noqa: S108 - its own
        "DOCKER_HOST": f"unix://{spec.schedule.docker_socket}",
    }


def privileges(topology: Topology) -> dict[str, Any]:
    """What sets it apart from the other containers; compose's words.

    Locks and throwaway servers name the process that holds them, so PIDs have to mean the same on the host.
    It is the owner of the stack's files; root without capabilities could not even read another user's spec.
    """
    owner = topology.host.owner
    found: dict[str, Any] = {"user": f"{owner.uid}:{owner.gid}", "network_mode": "host", "pid": "host"}
    if owner.socket_gid is not None:
        found["group_add"] = [str(owner.socket_gid)]
    if owner.uid == 0:
        found["cap_add"] = ["CHOWN", "DAC_OVERRIDE", "FOWNER"]
    return found
