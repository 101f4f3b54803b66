"""Prometheus, Alertmanager, Grafana, exporters, alerts and what is probed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from techsapo_ops.spec.models.base import (
    PATH_PATTERN,
    Duration,
    FilePath,
    FilePattern,
    HostName,
    HostPort,
    ListenHost,
    Name,
    NotASwitch,
    Number,
    Port,
    PositiveDuration,
    ProbedUrl,
    Section,
    Url,
)
from techsapo_ops.spec.secret import Secret

GRAFANA_DOCUMENTED_PASSWORD = "techsapo2024!"  # noqa: S105 - published in the guide; production refuses it


class Prometheus(Section):
    """The time-series database."""

    enabled: bool = True
    """If false, the stack runs without this server."""
    host: ListenHost = "127.0.0.1"
    """Address to listen on."""
    port: Port = 9090
    """Port to listen on."""
    login: bool = True
    """Require a login: user techsapo, with a password that is generated at the first start and stored in the
    state directory.
    """
    scrape_interval: PositiveDuration = "15s"
    """Interval at which metrics are scraped and rules are evaluated."""
    retention: PositiveDuration = "15d"
    """How long samples are kept."""


class Alertmanager(Section):
    """Groups alerts and sends them out."""

    enabled: bool = True
    """If false, the stack runs without this server."""
    host: ListenHost = "127.0.0.1"
    """Address to listen on."""
    port: Port = 9093
    """Port to listen on."""
    login: bool = True
    """Require a login: user techsapo, with a password that is generated at the first start and stored in the
    state directory.
    """
    group_wait: Duration = "10s"
    """How long a new group of alerts waits for further alerts before it is sent. Alerts about an outage for
    users are sent at once.
    """
    group_interval: PositiveDuration = "5m"
    """Time until a changed group of alerts is sent again; at most 30 s for alerts about an outage for
    users.
    """
    repeat_interval: PositiveDuration = "4h"
    """Time until an alert that still fires is sent again."""


class Grafana(Section):
    """The dashboards."""

    enabled: bool = True
    """If false, the stack runs without this server."""
    host: ListenHost = "127.0.0.1"
    """Address to listen on."""
    port: Port = 3000
    """Port to listen on."""
    admin_password: Secret = Field(default_factory=lambda: Secret(GRAFANA_DOCUMENTED_PASSWORD))
    """Password of the administrator; the documented default is refused in production."""


class Exporters(Section):
    """Ports of the exporters, on loopback. Each runs where what it watches runs; null: not at all."""

    node: Port | None = 9100
    """Port of the node exporter: CPU, memory, disk and network of the host."""
    redis: Port | None = 9121
    """Port of the Redis exporter."""
    mysqld: Port | None = 9104
    """Port of the mysqld exporter: the audit database."""
    nginx: Port | None = 9113
    """Port of the nginx exporter: the load balancer."""
    blackbox: Port | None = 9115
    """Port of the blackbox exporter: it probes the stack through nginx, as users reach it, and
    `monitoring.probes`.
    """


class AlertSettings(Section):
    """Changes to one alert of the catalogue."""

    enabled: bool = True
    """If false, the alert is left out."""
    threshold: Number | None = None
    """Threshold of the alert; default: from the catalogue."""
    minimum: Annotated[Number | None, Field(ge=0)] = None
    """Smallest count at which the alert fires, if the alert counts something; default: from the catalogue."""
    for_: Annotated[Duration | None, Field(alias="for")] = None
    """How long the condition must last before the alert fires; default: from the catalogue."""
    keep_firing_for: Duration | None = None
    """How long the alert keeps firing after its condition has ended; default: from the catalogue."""
    window: PositiveDuration | None = None
    """Length of the alert's window, if it has one; default: from the catalogue."""


class ScrapeJob(Section):
    """A further target that Prometheus scrapes."""

    name: Name
    """Name of the job."""
    targets: Annotated[tuple[HostPort, ...], Field(min_length=1)]
    """host:port of each target."""
    path: Annotated[str, Field(pattern=PATH_PATTERN)] = "/metrics"
    """Path of the metrics."""
    scheme: Literal["http", "https"] = "http"
    """Protocol: http or https."""


class ProbeTarget(Section):
    """Something that is asked all day, and told when it does not answer."""

    name: Name
    """Name of the probe in alerts and on dashboards."""
    url: ProbedUrl
    """Target of the probe: a page by https:// or http://, or a connection by tcp://HOST:PORT or
    tls://HOST:PORT.
    """
    status: tuple[Annotated[int, Field(ge=100, le=599), NotASwitch], ...] = ()
    """Expected HTTP statuses; default: 200 to 299. Redirects are followed unless a 3xx is listed here."""
    server_name: HostName | None = None
    """Host name for the request if the URL has an IP address or another name."""
    ca_file: FilePath | None = None
    """CA certificates (PEM) that verify the target's certificate; default: the system's CA certificates."""
    page: bool = False
    """If true, a failing probe wakes people: it goes to the receivers in `notifications.page`."""


class Monitoring(Section):
    """What watches the stack."""

    prometheus: Prometheus = Field(default_factory=Prometheus.model_construct)
    """The time-series database."""
    alertmanager: Alertmanager = Field(default_factory=Alertmanager.model_construct)
    """Groups alerts and sends them out."""
    grafana: Grafana = Field(default_factory=Grafana.model_construct)
    """The dashboards."""
    exporters: Exporters = Field(default_factory=Exporters.model_construct)
    """Ports of the exporters, which turn the state of other servers into metrics."""
    alerts: dict[str, AlertSettings] = {}
    """Changes to alerts, by alert name: threshold, minimum, for, keep_firing_for, window, enabled."""
    availability_percent: Annotated[Number, Field(ge=50, lt=100)] = 99.5
    """Percentage of API requests that must succeed over 30 days. Alerts fire when the rest, the error budget,
    is used up too fast.
    """
    scrape: tuple[ScrapeJob, ...] = ()
    """Extra scrape jobs."""
    probes: tuple[ProbeTarget, ...] = ()
    """Further pages and servers to probe as a client would, because users or the stack depend on them."""
    rules: tuple[FilePattern, ...] = ()
    """Your own rule files for Prometheus, e.g. rules/*.yml. An alert with the label page="true" wakes
    people.
    """
    runbook_url: Url | None = None
    """Base URL of the published runbooks; the alert's page name is appended."""

    @property
    def sends_alerts(self) -> bool:
        """Whether there is a Prometheus whose alerts an Alertmanager takes."""
        return self.prometheus.enabled and self.alertmanager.enabled

    @property
    def is_probed(self) -> bool:
        """Whether there is a blackbox exporter."""
        return self.exporters.blackbox is not None and self.prometheus.enabled
