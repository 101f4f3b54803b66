"""What the scheduler's container is given beside its image: the host's files, network, PIDs and daemon.

It does what `techsapo jobs run` does on the host, with the same files, locks and addresses: so it has them
under the same names. The socket makes it equivalent to root; the rest gives it no more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.scheduler.timetable import job_folders, scheduler_environment
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.redact import secrets_of
from techsapo_ops.stack.container import Bind
from techsapo_ops.stack.topology import Topology

_SYSTEM = frozenset(
    Path("/", name)
    for name in (
        "", "bin", "boot", "dev", "etc", "lib", "lib64", "opt", "proc", "run", "sbin", "sys", "tmp", "usr",
        "usr/bin", "usr/lib", "usr/local", "var", "var/lib", "var/run",
    )
)  # fmt: skip
"""Folders that the container has of its own."""


def binds(topology: Topology) -> tuple[Bind, ...]:
    """What the jobs read and write: the project, what the spec names outside of it, and the socket.

    Raises OpsError for a folder that would hide the container's own.
    """
    spec = topology.spec
    project = topology.layout.spec_file.parent
    found = []
    for named, field in [(project, msg("the project's folder")), *job_folders(spec, project)]:
        path = _plain(named)
        if path in _SYSTEM:
            raise OpsError(
                msg("{field}: the scheduler's container can't be given {path}", field=field, path=path),
                msg(
                    "name a folder below it, or leave `schedule.docker_socket` out and let cron start "
                    "the jobs"
                ),
            )
        found.append(_same(path, writable=True, create=path != project))
    # A file's folder, so that a file that is replaced is seen; but not one that the container has itself.
    files = (_plain(named) for named in _files(spec, project))
    found += [_same(file if file.parent in _SYSTEM else file.parent) for file in files]
    if spec.template_overrides is not None:
        found.append(_same(_plain(project / Path(spec.template_overrides).expanduser())))
    if spec.schedule.docker_socket is not None:
        found.append(_same(Path(spec.schedule.docker_socket)))
    kept: list[Bind] = []
    for bind in sorted(found, key=lambda bind: (len(bind.source.parts), not bind.writable, bind.source)):
        around = [b for b in kept if bind.source.is_relative_to(b.source)]
        if not any(b.writable or not bind.writable for b in around):
            kept.append(bind)
    return tuple(kept)


def _same(path: Path, *, writable: bool = False, create: bool = False) -> Bind:
    """`path`, which the container sees under the same name."""
    return Bind(path, str(path), writable, create)


def _plain(path: Path) -> Path:
    """Without `..`, which a mount's target may not have."""
    return Path(os.path.normpath(path))


def _files(spec: Spec, project: Path) -> Iterator[Path]:
    """Files and folders that jobs read."""
    named = [secret.file for secret in secrets_of(spec).values()]
    for certificate in spec.certificates.values():
        named += [certificate.ca_file, certificate.certificate_file, certificate.private_key_file]
    named += spec.backup.paths
    yield from (project / Path(name).expanduser() for name in named if name is not None)


def environment(topology: Topology) -> dict[str, str]:
    """Its variables: the daemon's socket, and the owner's home and time zone."""
    owner = topology.host.owner
    zone = {"TZ": owner.zone} if owner.zone is not None else {}
    return {
        **scheduler_environment(),
        **zone,
        "HOME": owner.home,
        "DOCKER_CONFIG": "/tmp/docker",  # noqa: S108 - its own
        "DOCKER_HOST": f"unix://{topology.spec.schedule.docker_socket}",
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
