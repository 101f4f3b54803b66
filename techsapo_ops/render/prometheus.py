"""prometheus.yml, recording rules and alert rules, in a form that Prometheus 2.53 and 3.x both take."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from techsapo_ops.catalogue.alerts import Alert, alerts, promql_number
from techsapo_ops.catalogue.rules import recording_rules
from techsapo_ops.errors import OpsError
from techsapo_ops.render.templates import Templates, go_template_text
from techsapo_ops.spec.desired import RenderedFile
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.spec.models.monitoring import AlertSettings
from techsapo_ops.spec.topology import Service, Topology, Viewpoint

PROMETHEUS_YML = "prometheus/prometheus.yml"
RECORDING_RULES = "prometheus/rules/recording.yml"
ALERT_RULES = "prometheus/rules/alerts.yml"

APP_JOB = "techsapo-app"
SCRAPED_KINDS = (
    "app", "prometheus", "alertmanager", "grafana",
    "node-exporter", "redis-exporter", "mysqld-exporter", "nginx-exporter",
)  # fmt: skip
LONGEST_SCRAPE_INTERVAL = 120
"""Seconds; the rules look back 5 minutes, and a rate needs two samples within its window."""

RUNBOOKS = "docs/runbooks/"
"""Where the pages are, seen from the repository's root."""


def prometheus_files(spec: Spec, topology: Topology, templates: Templates) -> tuple[RenderedFile, ...]:
    """prometheus/prometheus.yml and its rules, or nothing where the stack has no Prometheus.

    Raises OpsError for settings that Prometheus could not take over as they are meant.
    """
    if not topology.has("prometheus"):
        return ()
    settings = spec.monitoring.prometheus
    if seconds(settings.scrape_interval) > LONGEST_SCRAPE_INTERVAL:
        raise OpsError(
            f"monitoring.prometheus.scrape_interval: {settings.scrape_interval} is too long for alerts "
            "that look back 5 minutes",
            "write 2m or less",
        )
    alertmanagers = [_address(topology, service) for service in topology.of_kind("alertmanager")]
    return (
        RenderedFile(
            PROMETHEUS_YML,
            templates.render(
                "prometheus/prometheus.yml.j2",
                scrape_interval=settings.scrape_interval,
                evaluation_interval=settings.evaluation_interval,
                external_labels=_external_labels(spec),
                alertmanagers=alertmanagers,
                jobs=[*_own_jobs(topology), *_extra_jobs(spec)],
            ),
        ),
        RenderedFile(ALERT_RULES, templates.render("prometheus/rules.yml.j2", groups=alert_groups(spec))),
        RenderedFile(RECORDING_RULES, templates.render("prometheus/rules.yml.j2", groups=recording_groups())),
    )


def recording_groups() -> list[dict[str, Any]]:
    """The catalogue's recording rules as rule groups of Prometheus."""
    return [
        {
            "name": f"techsapo-{group}",
            "rules": [{"record": rule.record, "expr": rule.expr} for rule in rules],
        }
        for group, rules in recording_rules().items()
    ]


def alert_groups(spec: Spec) -> list[dict[str, Any]]:
    """The catalogue's alerts as rule groups of Prometheus, one a severity, with the spec's changes.

    Raises OpsError for changes to an alert that does not exist, or to a threshold that it does not have.
    """
    catalogue = alerts()
    for name, changes in spec.monitoring.alerts.items():
        if name not in catalogue:
            raise OpsError(
                f"monitoring.alerts.{name}: there is no such alert", f"there are {', '.join(catalogue)}"
            )
        if changes.threshold is not None and catalogue[name].threshold is None:
            raise OpsError(f"monitoring.alerts.{name}.threshold: this alert has no threshold", "remove it")
    groups: dict[str, list[dict[str, Any]]] = {}
    for alert in catalogue.values():
        settings = spec.monitoring.alerts.get(alert.name)
        if settings is None or settings.enabled:
            groups.setdefault(alert.severity, []).append(_alert_rule(spec, alert, settings))
    return [{"name": f"techsapo-alerts-{severity}", "rules": rules} for severity, rules in groups.items()]


def runbook_url(spec: Spec, alert: Alert) -> str:
    """Where the alert's page is: below `monitoring.runbook_url`, else its path in the repository."""
    base = spec.monitoring.runbook_url
    return RUNBOOKS + alert.runbook if base is None else f"{base.rstrip('/')}/{alert.runbook}"


def duration_text(total: float) -> str:
    """Seconds as a Prometheus duration: 90.5 is `1m30s500ms`."""
    left = round(total * 1000)
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _alert_rule(spec: Spec, alert: Alert, settings: AlertSettings | None) -> dict[str, Any]:
    threshold = alert.threshold if settings is None or settings.threshold is None else settings.threshold
    for_ = alert.for_ if settings is None or settings.for_ is None else settings.for_
    short = duration_text(4 * seconds(spec.monitoring.prometheus.scrape_interval))
    rule: dict[str, Any] = {
        "alert": alert.name,
        "expr": alert.expression(threshold=threshold, short=short),
    }
    if seconds(for_) > 0:
        rule["for"] = for_

    def text(by_locale: str) -> str:
        number = "" if threshold is None else promql_number(threshold)
        words = by_locale.replace("{threshold}", number)
        return words.replace("{for}", _spoken(seconds(for_), spec.locale))

    rule["labels"] = {"severity": alert.severity, "priority": alert.priority, "service": alert.service}
    rule["annotations"] = {
        "summary": text(alert.summary[spec.locale]),
        "description": text(alert.description[spec.locale]),
        "runbook_url": go_template_text(runbook_url(spec, alert)),
    }
    return rule


def _spoken(total: float, locale: str) -> str:
    """A duration as people say it: 90 s is `1 分 30 秒` or `1 min 30 s`."""
    units = {"d": " 日", "h": " 時間", "m": " 分", "s": " 秒", "ms": " ミリ秒"}
    if locale != "ja":
        units = {"d": " d", "h": " h", "m": " min", "s": " s", "ms": " ms"}
    parts = re.findall(r"(\d+)([a-z]+)", duration_text(total))
    return " ".join(number + units[unit] for number, unit in parts)


def _external_labels(spec: Spec) -> dict[str, str]:
    labels = spec.monitoring.prometheus.external_labels
    for name, value in labels.items():
        if "$" in value:
            # 3.x expands ${VAR} and $$ here, 2.53 does not: no spelling means the same to both.
            raise OpsError(
                f"monitoring.prometheus.external_labels.{name}: Prometheus 3 would expand the $",
                "write the value without $",
            )
    return dict(labels)


def _address(topology: Topology, service: Service) -> str:
    return str(topology.address(service, Viewpoint.SERVICE))


def _own_jobs(topology: Topology) -> Iterator[dict[str, Any]]:
    for kind in SCRAPED_KINDS:
        services = [s for s in topology.of_kind(kind) if s.facts.metrics_path is not None]
        if services:
            yield {
                "name": APP_JOB if kind == "app" else kind,
                "path": services[0].facts.metrics_path,
                "scheme": "http",
                "interval": None,
                "targets": [{"address": _address(topology, s), "instance": s.name} for s in services],
            }


def _extra_jobs(spec: Spec) -> Iterator[dict[str, Any]]:
    taken = {APP_JOB, *SCRAPED_KINDS}
    for number, job in enumerate(spec.monitoring.scrape):
        if job.name in taken:
            raise OpsError(
                f"monitoring.scrape.{number}.name: there is a scrape job {job.name} already",
                "choose another name",
            )
        taken.add(job.name)
        yield {
            "name": job.name,
            "path": job.path,
            "scheme": job.scheme,
            "interval": job.interval,
            "targets": [{"address": target, "instance": None} for target in job.targets],
        }
