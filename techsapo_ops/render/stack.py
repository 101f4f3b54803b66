"""Every generated file of a stack."""

from __future__ import annotations

from dataclasses import replace

from techsapo_ops.render.compose import CONFIG, compose_files
from techsapo_ops.render.datastores import mysql_files, redis_files
from techsapo_ops.render.logrotate import logrotate_files
from techsapo_ops.render.pm2 import pm2_files
from techsapo_ops.render.secrets import secret_files
from techsapo_ops.render.supervisor import supervisor_files
from techsapo_ops.render.systemd import systemd_files
from techsapo_ops.services.alertmanager.configuration import alertmanager_files
from techsapo_ops.services.app.pages import page_files
from techsapo_ops.services.app.rendered_spec import app_spec_files
from techsapo_ops.services.grafana.provisioning import grafana_files
from techsapo_ops.services.nginx.site import nginx_files
from techsapo_ops.services.prometheus.scrape import prometheus_files
from techsapo_ops.services.scheduler.timetable import schedule_files
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.places import COMPOSE, NATIVE, Places
from techsapo_ops.stack.templates import Templates
from techsapo_ops.stack.topology import Topology, resolve

DOCKER = "docker/"


def render_stack(spec: Spec, topology: Topology, templates: Templates) -> tuple[RenderedFile, ...]:
    """All files of the stack, sorted by path: same arguments, same bytes.

    The native engine's files stand at the top, the compose variant of the same outputs below docker/,
    whichever engine the stack uses. Raises OpsError for a value that one of the outputs can't hold.
    """
    native = _as(spec, topology, NATIVE)
    compose = _as(spec, topology, COMPOSE)
    secrets = secret_files(spec, compose)
    files = [
        *_configuration(spec, native, templates),
        *secret_files(spec, native),
        *supervisor_files(spec, native, templates),
        *pm2_files(spec, native, templates),
        *systemd_files(spec, topology, templates),
        *schedule_files(spec),
        *logrotate_files(spec, native, templates),
        *(_below(CONFIG, file) for file in _configuration(spec, compose, templates)),
        *(_below(DOCKER, file) for file in secrets),
        *compose_files(spec, compose, templates, secrets, exact=topology is compose),
    ]
    return tuple(sorted(files, key=lambda file: file.path))


def _configuration(spec: Spec, topology: Topology, templates: Templates) -> tuple[RenderedFile, ...]:
    return (
        *prometheus_files(spec, topology, templates),
        *alertmanager_files(spec, topology, templates),
        *grafana_files(spec, topology, templates),
        *nginx_files(spec, topology, templates),
        *redis_files(spec, topology, templates),
        *mysql_files(spec, topology, templates),
        *app_spec_files(spec, topology),
        *page_files(spec),
    )


def _as(spec: Spec, topology: Topology, places: Places) -> Topology:
    if topology.places is places:
        return topology
    return resolve(spec, places, topology.layout, topology.host)


def _below(folder: str, file: RenderedFile) -> RenderedFile:
    return replace(file, path=folder + file.path)
