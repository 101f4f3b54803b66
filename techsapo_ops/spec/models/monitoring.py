"""Prometheus, Alertmanager, Grafana, exporters, and whom alerts reach."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from techsapo_ops.spec.models.base import (
    Duration,
    HostPort,
    ListenHost,
    Name,
    Port,
    PositiveDuration,
    Section,
    Size,
    Text,
    Url,
)
from techsapo_ops.spec.secret import Secret

GRAFANA_DOCUMENTED_PASSWORD = "techsapo2024!"  # noqa: S105 - published in the guide; production refuses it


class Prometheus(Section):
    enabled: bool = True
    host: ListenHost = "127.0.0.1"
    port: Port = 9090
    scrape_interval: PositiveDuration = "15s"
    evaluation_interval: PositiveDuration = "15s"
    retention: PositiveDuration = "15d"
    retention_size: Size | None = None
    external_labels: dict[Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")], Text] = {}


class Alertmanager(Section):
    enabled: bool = True
    host: ListenHost = "127.0.0.1"
    port: Port = 9093
    group_wait: Duration = "10s"
    group_interval: PositiveDuration = "5m"
    repeat_interval: PositiveDuration = "4h"


class Grafana(Section):
    enabled: bool = True
    host: ListenHost = "127.0.0.1"
    port: Port = 3000
    admin_user: Text = "admin"
    admin_password: Secret = Secret(GRAFANA_DOCUMENTED_PASSWORD)
    admin_password_file: str | None = None


class Exporter(Section):
    enabled: bool = True
    port: Port


class Exporters(Section):
    """Exporters run where what they watch runs; `enabled: false` turns one off."""

    node: Exporter = Exporter(port=9100)
    redis: Exporter = Exporter(port=9121)
    mysqld: Exporter = Exporter(port=9104)
    nginx: Exporter = Exporter(port=9113)


class AlertSettings(Section):
    """Changes to one alert of the catalogue."""

    enabled: bool = True
    threshold: float | None = None
    for_: Annotated[Duration | None, Field(alias="for")] = None


class ScrapeJob(Section):
    """A further target that Prometheus scrapes."""

    name: Name
    targets: Annotated[tuple[HostPort, ...], Field(min_length=1)]
    path: Annotated[str, Field(pattern=r"^/")] = "/metrics"
    scheme: Literal["http", "https"] = "http"
    interval: PositiveDuration | None = None


class Monitoring(Section):
    prometheus: Prometheus = Prometheus()
    alertmanager: Alertmanager = Alertmanager()
    grafana: Grafana = Grafana()
    exporters: Exporters = Exporters()
    alerts: dict[str, AlertSettings] = {}
    """By alert name: threshold, for, enabled."""
    scrape: tuple[ScrapeJob, ...] = ()
    """Extra scrape jobs."""
    runbook_url: Url | None = None
    """Where docs/runbooks/ is published; the alert's page name is appended."""


class SlackReceiver(Section):
    kind: Literal["slack"]
    url: Secret | None = None
    """Incoming-webhook URL."""
    url_file: str | None = None
    channel: Text | None = None


class EmailReceiver(Section):
    kind: Literal["email"]
    to: Text


class WebhookReceiver(Section):
    kind: Literal["webhook"]
    url: Secret | None = None
    url_file: str | None = None


class RawReceiver(Section):
    """Any other Alertmanager receiver, passed through: `config: {pagerduty_configs: […]}`."""

    kind: Literal["alertmanager"]
    config: dict[str, list[dict[str, Any]]]


Receiver = Annotated[
    SlackReceiver | EmailReceiver | WebhookReceiver | RawReceiver, Field(discriminator="kind")
]


class Smtp(Section):
    """How e-mail receivers send."""

    smarthost: HostPort
    sender: Text
    """The From address."""
    username: Text | None = None
    password: Secret | None = None
    password_file: str | None = None
    require_tls: bool = True


class Notifications(Section):
    """Receivers by severity; a severity without receivers is shown in Alertmanager only."""

    critical: tuple[Receiver, ...] = ()
    warning: tuple[Receiver, ...] = ()
    info: tuple[Receiver, ...] = ()
    smtp: Smtp | None = None
