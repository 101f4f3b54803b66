"""prometheus.yml, recording rules and alert rules, in a form that Prometheus 2.53 and 3.x both take."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from techsapo_ops.catalogue.series import EPISODES_JOB
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.app.kind import JOB
from techsapo_ops.services.blackbox.kind import JOB as PROBES
from techsapo_ops.services.blackbox.kind import scrape_targets
from techsapo_ops.services.exporters import redis_url
from techsapo_ops.services.monitor import basic_auth
from techsapo_ops.services.node.kind import tells_of_units
from techsapo_ops.services.prometheus.alert_rules import alert_groups, alerts_in
from techsapo_ops.services.prometheus.episodes import REPLICA, episode_jobs, next_groups
from techsapo_ops.services.prometheus.own_rules import FOLDER, own_rules
from techsapo_ops.services.prometheus.recording import recorded_groups
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.templates import Templates
from techsapo_ops.stack.topology import Topology

SENTINEL = "sentinel"
"""Kind and scrape job of the servers that choose the master among several Redis."""
HOST = "host"
"""Label of what is scraped: its machine, of several."""
RECORDING_RULES = "prometheus/rules/recording.yml"
RULES = "prometheus/rules"
ALERT_RULES = "prometheus/rules/alerts.yml"

_FIRST = (
    "app", "prometheus", "alertmanager", "grafana",
    "node-exporter", "redis-exporter", "mysqld-exporter", "nginx-exporter", "blackbox-exporter",
)  # fmt: skip
"""Order of our own jobs, whose names no job of the spec takes; those of other kinds follow."""


def prometheus_files(topology: Topology, templates: Templates) -> tuple[RenderedFile, ...]:
    """prometheus/prometheus.yml and its rules, or nothing where the stack has no Prometheus.

    Raises OpsError for settings that Prometheus could not take over as they are meant.
    """
    if not topology.has("prometheus"):
        return ()
    spec = topology.spec
    settings = spec.monitoring.prometheus
    alertmanagers = [_address(topology, service) for service in topology.of_kind("alertmanager")]
    jobs = _jobs(topology)
    groups = alert_groups(spec, _exporters(jobs), own_commands(topology))
    recorded = recorded_groups(topology, groups, [job["name"] for job in jobs])
    own = own_rules(topology)
    groups += next_groups(spec, [*groups, {"rules": own.alerts}])
    texts = {
        prometheus_yml(service): templates.render(
            "prometheus/prometheus.yml.j2",
            scrape_interval=settings.scrape_interval,
            external_labels=(labels := service.machine.labelled(REPLICA, service.name)),
            rules=os.path.relpath(RULES, Path(prometheus_yml(service)).parent),
            own_rules=sorted(own.texts),
            replica=next(iter(labels), None),
            alertmanagers=alertmanagers,
            alertmanager_login=_login(topology, "alertmanager"),
            jobs=[*jobs, *episode_jobs(topology, service)],
        )
        for service in topology.of_kind("prometheus")
    } | {
        ALERT_RULES: templates.render("prometheus/rules.yml.j2", groups=groups),
        RECORDING_RULES: templates.render("prometheus/rules.yml.j2", groups=recorded),
        **{f"{FOLDER}/{name}": text for name, text in own.texts.items()},
    }
    return tuple(RenderedFile(path, text) for path, text in texts.items())


def expected_alerts(topology: Topology) -> Sequence[str]:
    """The names of the alerts that this stack has."""
    return [alert.name for alert in alerts_in(topology.spec, _exporters(_jobs(topology)))]


def _jobs(topology: Topology) -> list[dict[str, Any]]:
    """What every Prometheus scrapes, but the others."""
    extra = _extra_jobs(topology.spec)
    return [*_own_jobs(topology), *_sentinels(topology), *_probes(topology), *extra]


def _exporters(jobs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Those of `jobs` whose absence is an alert of its own."""
    return [job["name"] for job in jobs if job["name"] not in {JOB, PROBES}]


def prometheus_yml(service: Service) -> str:
    """Path of the configuration of `service`: on several machines each has its own."""
    return yml_in(service.machine.own_folder)


def yml_in(folder: str) -> str:
    """The same of the one whose machine has the `folder` of its own, "" where there is one host."""
    return str(Path("prometheus", folder, "prometheus.yml"))


def own_commands(topology: Topology) -> Mapping[str, str]:
    """By what a runbook says of any stack, what takes its place for this one; see Runbook.of_stack."""
    pages = {"prometheus": "http://localhost:9090", "alertmanager": "http://localhost:9093"}
    return {
        pages[service.kind]: topology.address(service, Viewpoint.HOST).url()
        for service in topology.services
        if service.kind in pages and topology.published(service)
    }


def host_labels(service: Service) -> dict[str, str]:
    """What the series of `service` carry besides its name: its machine, of several."""
    return service.machine.labelled(HOST, service.machine.name)


def _address(topology: Topology, service: Service) -> str:
    return str(topology.address(service, Viewpoint.SERVICE))


def _login(topology: Topology, kind: str) -> dict[str, Any] | None:
    return basic_auth(topology, kind, "prometheus")


def _own_jobs(topology: Topology) -> Iterator[dict[str, Any]]:
    for kind in dict.fromkeys((*_FIRST, *(service.kind for service in topology.services))):
        services = [s for s in topology.of_kind(kind) if s.facts.metrics_path is not None]
        if services:
            yield {
                "name": JOB if kind == "app" else kind,
                "path": services[0].facts.metrics_path,
                "scheme": "http",
                "login": _login(topology, kind),
                "failed_units": kind == "node-exporter" and tells_of_units(topology),
                "targets": [
                    {"address": _address(topology, s), "instance": s.name, "labels": host_labels(s)}
                    for s in services
                ],
            }


def _sentinels(topology: Topology) -> Iterator[dict[str, Any]]:
    """What each Sentinel says, asked by the exporter that watches the Redis beside it."""
    sentinels = topology.of_kind(SENTINEL) if topology.has("redis-exporter") else ()
    if sentinels:
        yield {
            "name": SENTINEL,
            "path": "/scrape",
            "scheme": "http",
            "login": None,
            "kept": "redis_(sentinel_.+|up)",
            "targets": [
                {
                    "address": _address(topology, topology.beside(s, "redis-exporter")),
                    "instance": s.name,
                    "labels": {
                        **host_labels(s),
                        "__param_target": redis_url(topology, s),
                    },
                }
                for s in sentinels
            ],
        }


def _probes(topology: Topology) -> Iterator[dict[str, Any]]:
    """What the blackbox exporter is to ask; of itself it tells in its own job."""
    if targets := scrape_targets(topology):
        yield {
            "name": PROBES,
            "path": "/probe",
            "scheme": "http",
            "login": None,
            "targets": targets,
        }


def _extra_jobs(spec: Spec) -> Iterator[dict[str, Any]]:
    taken = {JOB, PROBES, EPISODES_JOB, *_FIRST}
    for number, job in enumerate(spec.monitoring.scrape):
        if job.name in taken:
            raise OpsError(
                msg(
                    "monitoring.scrape.{number}.name: there is a scrape job {job} already",
                    number=number,
                    job=job.name,
                ),
                msg("choose another name"),
            )
        taken.add(job.name)
        yield {
            "name": job.name,
            "path": job.path,
            "scheme": job.scheme,
            "login": None,
            "targets": [{"address": target, "instance": None, "labels": {}} for target in job.targets],
        }
