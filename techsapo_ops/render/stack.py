"""Every generated file of a stack."""

from __future__ import annotations

from dataclasses import replace

from techsapo_ops.render.compose import CONFIG, compose_files
from techsapo_ops.render.host import logrotate_files, pm2_files, rsyslog_files, systemd_files
from techsapo_ops.render.supervisor import supervisor_files
from techsapo_ops.render.swarm import CONFIG as SWARM_CONFIG
from techsapo_ops.render.swarm import swarm_files
from techsapo_ops.services.registry import kind_of, kinds, kinds_in, resolve
from techsapo_ops.services.scheduler.kind import schedule_files
from techsapo_ops.spec.redact import secrets_of
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.places import COMPOSE, NATIVE, SWARM, Places
from techsapo_ops.stack.secrets import secret_file, secret_name
from techsapo_ops.stack.templates import Templates
from techsapo_ops.stack.topology import Topology

DOCKER = "docker/"


def render_stack(topology: Topology, templates: Templates) -> tuple[RenderedFile, ...]:
    """All files of the stack, sorted by path: same arguments, same bytes.

    The native engine's files stand at the top, the compose variant of the same outputs below docker/,
    whichever engine the stack uses; on several machines there are those of Swarm alone. Raises OpsError for
    a value that one of the outputs can't hold.
    """
    return topology.places.units(
        programs=lambda: _one_host(topology, templates),
        containers=lambda: _one_host(topology, templates),
        spread=lambda: _several_machines(topology, templates),
    )


def _one_host(topology: Topology, templates: Templates) -> tuple[RenderedFile, ...]:
    native = _as(topology, NATIVE)
    compose = _as(topology, COMPOSE)
    secrets = secret_files(compose)
    files = [
        *_configuration(native, templates),
        *secret_files(native),
        *supervisor_files(native, templates),
        *pm2_files(native, templates),
        *systemd_files(topology, templates),
        *schedule_files(topology.spec),
        *logrotate_files(native, templates),
        *rsyslog_files(native, templates),
        *(_below(DOCKER, file) for file in rsyslog_files(compose, templates, below=DOCKER)),
        *(_below(CONFIG, file) for file in _configuration(compose, templates)),
        *(_below(DOCKER, file) for file in secrets),
        *compose_files(compose, templates, secrets, exact=topology is compose),
    ]
    return tuple(sorted(files, key=lambda file: file.path))


def _several_machines(topology: Topology, templates: Templates) -> tuple[RenderedFile, ...]:
    configuration, secrets = _configuration(topology, templates), secret_files(topology)
    files = [
        *schedule_files(topology.spec),
        *(_below(SWARM_CONFIG, file) for file in configuration),
        *(_below(SWARM, file) for file in secrets),
        *swarm_files(topology, templates, configuration, secrets),
    ]
    return tuple(sorted(files, key=lambda file: file.path))


def _configuration(topology: Topology, templates: Templates) -> list[RenderedFile]:
    return [file for kind in kinds_in(topology) for file in kind.files(topology, templates)]


def _as(topology: Topology, places: Places) -> Topology:
    if topology.places is places:
        return topology
    return resolve(topology.spec, places, topology.layout, topology.host)


def _below(folder: str, file: RenderedFile) -> RenderedFile:
    return replace(file, path=folder + file.path)


def reader_of(path: str) -> str | None:
    """Kind of service that reads the secret at a dotted spec path; None: the tool alone."""
    for kind in kinds():
        if any(path == prefix or path.startswith(f"{prefix}.") for prefix in kind.secrets):
            return kind.name
    return None


def secret_files(topology: Topology) -> tuple[RenderedFile, ...]:
    """One file below secrets/ for each secret that a service of `topology` reads, mode 0600.

    Some kinds read theirs in formats of their own. Raises OpsError for a secret that one can't be given.
    """
    files = [
        secret_file(secret_name(path), secret.reveal(), owner)
        for path, secret in secrets_of(topology.spec).items()
        if (owner := reader_of(path)) is not None and topology.has(owner)
    ]
    for name in dict.fromkeys(service.kind for service in topology.services):
        files += kind_of(name).secret_files(topology)
    return tuple(sorted(files, key=lambda file: file.path))
