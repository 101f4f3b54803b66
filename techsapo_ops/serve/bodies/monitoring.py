"""What the built-in pages show: dashboards, figures, and one look at everything."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from techsapo_ops.serve.bodies.base import Body, Number
from techsapo_ops.serve.bodies.health import HealthBody

Words = Annotated[dict[str, str], Field(description="A text by language.")]


Origin = Literal["questions", "requests", "backups", "certificates", "jobs", "tls", "scrapes"]


class PanelBody(Body):
    title: Words
    description: Words
    kind: str
    width: Annotated[int, Field(description="Width of the panel; the whole row has 24.")]
    unit: Annotated[str, Field(description="A unit id of Grafana.")]
    min: Number | None
    max: Number | None
    shows: Literal["value", "name"]
    bad: Annotated[str, Field(description="On which side of its thresholds a value is bad.")]
    warning: Number | None
    critical: Number | None
    alerts: list[str]
    origin: Annotated[Origin, Field(description="The source of the figures.")]


class RowBody(Body):
    title: Words
    height: int
    panels: list[PanelBody]


class DashboardBody(Body):
    name: str
    title: Words
    description: Words
    choices: list[str]
    """Those of the variables that some panel reads."""
    rows: list[RowBody]


class DashboardsBody(Body):
    """Every dashboard without its figures, and what its variables may be."""

    prometheus: Literal["ready", "unreachable", "absent"]
    spans: list[str]
    variables: dict[str, list[str]]
    dashboards: list[DashboardBody]


class SeriesBody(Body):
    legend: Words
    values: list[float | None]


class ApplyBody(Body):
    """An apply of the stack: its number in `techsapo changes list`, and how it went."""

    number: int
    time: Annotated[Number, Field(description="When the apply ended, in Unix seconds.")]
    user: str
    command: str
    result: str


class EventMarkBody(Body):
    """Something that somebody did, as `techsapo event` notes it."""

    text: str
    time: Annotated[Number, Field(description="When the event happened, in Unix seconds.")]
    service: str
    host: str
    by: str


class PanelFiguresBody(Body):
    error: str | None = None
    series: list[SeriesBody]


class FiguresBody(Body):
    """The figures of one dashboard: at each of `times` (Unix seconds) a value of every series."""

    span: str
    step: Annotated[float, Field(description="Seconds between two values.")]
    times: list[Number]
    panels: list[PanelFiguresBody]
    applies: list[ApplyBody]
    events: Annotated[list[EventMarkBody], Field(description="Empty also if events can't be read.")]


class RecentBody(Body):
    """The last minutes: at each of `times` (Unix seconds) a value of every series, or null."""

    instance: str
    interval: float
    times: list[float]
    series: dict[str, list[Number | None]]


class AcknowledgedBody(Body):
    """Who has acknowledged a firing alert."""

    by: str
    at: str
    until: Annotated[str, Field(description="When the acknowledgement ends, unless the alert ends earlier.")]
    comment: str


class AlertBody(Body):
    name: str
    severity: str
    instance: str
    state: Annotated[
        Literal["firing", "pending", "silenced", "inhibited"],
        Field(description="`silenced` and `inhibited` alerts fire, but nobody is notified."),
    ]
    since: str
    until: Annotated[str | None, Field(description="When the silence of a silenced alert ends.")]
    summary: Annotated[str, Field(description="The summary in the stack's language, as in notifications.")]
    description: str
    summaries: Annotated[
        dict[str, str], Field(description="The summary by language; your own alerts have none here.")
    ]
    runbook: str
    acknowledged: Annotated[
        AcknowledgedBody | None,
        Field(description="null if nobody has acknowledged the alert, or if that is unknown."),
    ]


class JobBody(Body):
    """When a job ran, succeeded and is due (Unix seconds), and how its last run ended."""

    name: str
    last_run: Number | None
    last_success: Number | None
    exit_code: Number | None
    next_run: Number | None


class BudgetBody(Body):
    period: str
    percent: Number
    limit_usd: Number
    warn_percent: Number


class ProviderCostBody(Body):
    name: str
    calls: int
    failed: int
    usd: Number


class MonthBody(Body):
    """Costs since the first of the month."""

    total_usd: Number
    simulated_usd: Annotated[Number, Field(description="The simulated part of the costs, which nobody paid.")]
    simulated_counts: Annotated[bool, Field(description="Whether the budget counts simulated costs, too.")]
    requests: int
    cached: int
    providers: list[ProviderCostBody]


class CostsBody(Body):
    budget: list[BudgetBody]
    month: Annotated[MonthBody | None, Field(description="null while the audit database can't be read.")]


class ExposureBody(Body):
    """Something that unintended people may reach, by its rule (docs/exposure.md)."""

    rule: str
    message: str
    accepted: Annotated[
        str | None, Field(description="Why the exposure is accepted; null if it is not accepted.")
    ]


class DrillBody(Body):
    """A drill: when its newest began, and the newest that met its objectives (Unix seconds); `ok` is whether
    the newest one did.
    """

    name: str
    last_run: Number | None
    last_success: Number | None
    ok: bool | None


class BackupsBody(Body):
    """Unix seconds: when the newest backup began, when the newest one with a successful trial restore began,
    and when an off-site copy was last restored. `ok` and `offsite_ok`: whether the last check of each
    succeeded. null if unknown.
    """

    newest: Number | None
    verified: Number | None
    ok: bool | None
    offsite_verified: Number | None
    offsite_ok: bool | None
    drills: list[DrillBody]


class ServiceBody(Body):
    """A service of the stack as Prometheus sees it; `up` is null while its exporter is down."""

    name: str
    kind: Annotated[str, Field(description="The server's scrape job, or its kind.")]
    up: bool | None
    version: Annotated[str, Field(description="Version of the app; empty for other servers.")]
    lacks: Annotated[
        list[str], Field(description="Stores that an instance of the app can't use now, such as `audit`.")
    ]


class DiskBody(Body):
    """A file system that can fill up. From `full_percent` on an alert fires."""

    mountpoint: str
    instance: str
    used_percent: Number
    free_bytes: Number
    full_percent: Number


class CertificateBody(Body):
    """A certificate: when it ends (Unix seconds), how much of its life is left, whether nginx serves it, and
    how often its renewal failed since the last success. null if unknown.
    """

    name: str
    source: str
    ends: Number
    left_percent: Number | None
    served: bool | None
    failures: int


class MaintenanceBody(Body):
    """Users get a maintenance page. `forgotten`: the planned end has passed."""

    detail: str
    until: str | None
    forgotten: bool


class FrontBody(Body):
    """The address that several hosts share, and the hosts that have it: one, except in a partition."""

    address: str
    hosts: list[str]


class StatusBody(Body):
    """Health of the instance that answers, the services of the stack, exposures, alerts, disks, certificates,
    jobs, backups and costs. Without Prometheus, the fields that come from it are null.
    """

    health: HealthBody
    maintenance: Annotated[MaintenanceBody | None, Field(description="null if there is no maintenance.")]
    exposures: list[ExposureBody]
    watched: Literal["ready", "unreachable", "absent"]
    alerts: list[AlertBody] | None
    unreached: Annotated[
        list[str],
        Field(
            description="Severities, page and watchdog, that have no receiver: nobody is notified of "
            "them. critical-at-once, page-at-once: only the next receivers are notified, later."
        ),
    ]
    front: Annotated[
        FrontBody | None, Field(description="null on a single host, and if no host has the address.")
    ]
    services: list[ServiceBody] | None
    disks: list[DiskBody] | None
    certificates: list[CertificateBody] | None
    jobs: list[JobBody] | None
    backups: BackupsBody | None
    costs: CostsBody
