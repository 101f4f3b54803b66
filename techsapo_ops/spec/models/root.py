"""The whole spec."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from techsapo_ops.messages import all_of, msg
from techsapo_ops.spec.models.app import App, Audit, Budget, WallBounce
from techsapo_ops.spec.models.base import (
    PROJECT_PATTERN,
    FilePath,
    ImageReference,
    Name,
    Section,
    Text,
    is_loopback,
)
from techsapo_ops.spec.models.investigate import Investigate, Knowledge
from techsapo_ops.spec.models.machines import FloatingAddress, Host, HostKey, Swarm
from techsapo_ops.spec.models.monitoring import Monitoring
from techsapo_ops.spec.models.notifications import Notifications
from techsapo_ops.spec.models.providers import Providers, default_providers
from techsapo_ops.spec.models.servers import Certificate, Mysql, Nginx, Redis
from techsapo_ops.spec.models.upkeep import Backup, Logs, Schedule

ServiceKind = Literal[
    "app", "nginx", "redis", "sentinel", "mysql", "prometheus", "alertmanager", "grafana",
    "node-exporter", "redis-exporter", "mysqld-exporter", "nginx-exporter",
    "blackbox-exporter", "scheduler", "keepalived",
]  # fmt: skip
APP_SECTIONS = (
    "project", "locale", "app", "providers", "wallbounce", "budget", "audit", "redis", "mysql", "logs",
    "investigate",
)  # fmt: skip
"""What the app reads of the spec; a change elsewhere concerns it not."""
NOT_RENDERED = frozenset({"host", "port", "instances", "public_url"})
"""Parts of `app` that an instance is told on its command line, or that others put into their messages."""
ExposureName = Literal[
    "alertmanager-without-login", "app-plain-http", "grafana-default-password", "monitoring-plain-http",
    "nginx-plain-http", "no-critical-receiver", "no-watcher", "offsite-plain-http", "offsite-prune",
    "prometheus-without-login", "redis-plain-text", "redis-without-login",
]  # fmt: skip
"""The rules of docs/exposure.md on what others may reach, and whom alerts must; the names are stable."""
ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - told, not bound
AT_ONCE = "-at-once"
"""After `page` or `critical` among the lists without a receiver where the next receivers are told, later."""
ImageName = Literal[ServiceKind, "base"]


class Spec(Section):
    """One TechSapo stack."""

    # A loaded spec has its overlay applied and its variables filled in; its `environments` is empty.

    project: Annotated[str, Field(pattern=PROJECT_PATTERN)]
    """Name of the stack: lower-case letters, digits, - and _."""
    locale: Literal["en", "ja"] = "ja"
    """Language of answers, alert texts, pages and dashboards."""
    engine: Literal["auto", "native", "compose", "swarm"] = "auto"
    """How the services run: as processes of this host (native), with Docker Compose (compose), or with Docker
    Swarm on several `hosts` (swarm; experimental). auto chooses native or compose.
    """
    hosts: dict[HostKey, Host] = {}
    """The hosts of `engine: swarm`, three or five, by their names (docs/three-machines.md)."""
    floating_address: FloatingAddress | None = None
    """Address at which users reach the stack. When the host that has it is lost, the address moves to another
    of `hosts`.
    """
    swarm: Swarm = Field(default_factory=Swarm.model_construct)
    """Settings of `engine: swarm`."""
    app: App = Field(default_factory=App.model_construct)
    """The orchestrator API."""
    providers: Providers = Field(default_factory=default_providers)
    """The models to ask, by a name of your choice; default: simulated ones."""
    wallbounce: WallBounce = Field(default_factory=WallBounce.model_construct)
    """How answers are compared."""
    budget: Budget = Field(default_factory=Budget.model_construct)
    """Spending limits for providers, in USD."""
    audit: Audit = Field(default_factory=Audit.model_construct)
    """What the audit log stores of each request."""
    monitoring: Monitoring = Field(default_factory=Monitoring.model_construct)
    """Monitoring of the stack: Prometheus, Alertmanager, Grafana, exporters, alerts."""
    notifications: Notifications = Field(default_factory=Notifications.model_construct)
    """Receivers of alerts, by severity."""
    investigate: Investigate | None = None
    """Investigation of alerts; `investigate: {}` uses the defaults. Without this section, no investigation
    starts by itself; `techsapo why` still works.
    """
    knowledge: Knowledge = ()
    """Text files with the team's own knowledge, or folders of them: runbooks/, wiki/*.md. Investigations and
    `techsapo ask` search them and name the file.
    """
    redis: Redis = Field(default_factory=Redis.model_construct)
    """Cache and shared counters."""
    mysql: Mysql | None = None
    """The audit database; `mysql: {}` uses the defaults. Without this section, the audit log is stored in
    SQLite.
    """
    nginx: Nginx = Field(default_factory=Nginx.model_construct)
    """The load balancer, for several instances or for certificates."""
    certificates: dict[Name, Certificate] = {}
    """Certificates to serve or to monitor, by a name of your choice."""
    backup: Backup = Field(default_factory=Backup.model_construct)
    """Where backups are stored, and for how long."""
    schedule: Schedule = Field(default_factory=Schedule.model_construct)
    """When jobs run."""
    contacts: tuple[Text, ...] | None = None
    """People to call when this host is lost, in your own words: `Kimura, +81 3 …`. Printed on the recovery
    card.
    """
    logs: Logs = Field(default_factory=Logs.model_construct)
    """What is logged, and how long logs are stored."""
    images: dict[ImageName, ImageReference] = {}
    """Container images by service; `base` is the image that the app's image is built from."""
    accepted_exposures: dict[ExposureName, Text] = {}
    """Intended exposures, by the name of their rule, with the reason: `app-plain-http: TLS ends at lb1`. All
    other exposures are errors in environment production and warnings elsewhere (docs/exposure.md).
    """
    template_overrides: FilePath | None = None
    """Folder of your own templates, which replace the built-in ones; default: template-overrides/ next to the
    spec.
    """
    environments: dict[Name, dict[str, Any]] = {}
    """Overlays by name. `-e NAME` merges that overlay over the rest of the spec; null removes a key."""

    @model_validator(mode="before")
    @classmethod
    def _of_machines(cls, data: Any) -> Any:
        """With hosts, Redis is reached over a network, by TLS, and its Sentinels are of its image."""
        if not isinstance(data, dict) or not data.get("hosts"):
            return data
        redis, images = data.get("redis") or {}, data.get("images") or {}
        if isinstance(redis, dict):
            data = {**data, "redis": {"tls": True, **redis}}
        if isinstance(images, dict) and "redis" in images:
            data = {**data, "images": {"sentinel": images["redis"], **images}}
        return data

    def image_of(self, kind: str, otherwise: str) -> str:
        """The container image that is named for a kind of service; `otherwise` where none is."""
        return {str(name): image for name, image in self.images.items()}.get(kind, otherwise)

    @property
    def retries_keyed(self) -> bool:
        """Whether nginx sends a keyed question to the next instance: as they share what was replied."""
        return self.redis.enabled

    @property
    def runs_nginx(self) -> bool:
        """Whether nginx stands in front: asked for, or several instances, or a certificate to serve."""
        served = any(c.source != "external" for c in self.certificates.values())
        instances = max(len(self.app.instances), 1) * max(len(self.hosts), 1)
        needed = instances > 1 or served
        return self.nginx.enabled if self.nginx.enabled is not None else needed

    @property
    def nginx_host(self) -> str:
        """The address on which nginx listens: on several machines Docker publishes it on all of each."""
        return ANY_ADDRESS if self.hosts else self.nginx.host

    @property
    def exposed(self) -> tuple[str, ...]:
        """The addresses beyond loopback on which app and nginx listen."""
        hosts = [self.app.host, *([self.nginx_host] if self.runs_nginx else [])]
        return tuple(h for h in hosts if not is_loopback(h))

    @property
    def needs_keys(self) -> bool:
        """Whether requests need an API key: asked for, or reachable beyond this host."""
        wanted = self.app.auth.required
        return bool(self.exposed) if wanted is None else wanted

    @property
    def unreached(self) -> tuple[str, ...]:
        """The lists of `notifications` without a receiver by which somebody would be told of alerts. An
        address of an example's reaches nobody, and a watcher on this host does not miss it. `page` is among
        them where it has taken what wakes people from those of `critical`.
        """
        if not self.monitoring.prometheus.enabled:
            return ()  # there are no alerts
        sent, notifications = self.monitoring.alertmanager.enabled, self.notifications
        lists = ("critical", "warning", "info", "watchdog")
        unreached = tuple(name for name in lists if not (sent and notifications.reaches(name)))
        if "critical" not in unreached:
            return unreached
        first = "page" if self.wakes_nobody else "critical"
        later = sent and notifications.first_next is not None
        return (f"{first}{AT_ONCE}" if later else first, *unreached[1:])

    @property
    def notified_at_once(self) -> bool:
        """Whether somebody is told of the worst without a wait: what pages, or else of critical alerts."""
        return not any(name.startswith(("page", "critical")) for name in self.unreached)

    @property
    def nobody_notified(self) -> str:
        """In one line that alerts, or critical ones, reach no one, and what to write; empty where they do."""
        unreached, later = self.unreached, self.notifications.first_next
        if self.notified_at_once:
            return ""
        if unreached[0].endswith(AT_ONCE) and later is not None:
            whom = all_of(dict.fromkeys(r.kind for r in self.notifications.named(later.receivers)))
            what = msg("alerts") if {"warning", "info"} <= set(unreached) else msg("critical alerts")
            if self.wakes_nobody:
                what = msg("alerts that wake people")
            return msg(
                "{what} reach no one immediately; critical alerts reach {whom} only after {after}, if "
                "nobody acknowledges them: add a receiver to notifications.{listed} (docs/alerts.md)",
                listed="page" if self.wakes_nobody else "critical",
                what=what,
                whom=whom,
                after=later.after,
            )
        if not self.monitoring.alertmanager.enabled:
            return msg("alerts reach no one: monitoring.alertmanager is off")
        if self.wakes_nobody:
            return msg(
                "alerts that wake people reach no one: name a receiver with a real address in "
                "notifications.page, or remove `page` to use the receivers of `critical` "
                "(docs/alerts.md)"
            )
        if any(self.notifications.is_example(name) for name in unreached if name != "watchdog"):
            filled = msg("replace the example addresses in notifications with real ones (docs/alerts.md)")
            if {"warning", "info"} <= set(unreached):
                return msg("alerts reach no one: {filled}", filled=filled)
            return msg("critical alerts reach no one: {filled}", filled=filled)
        if {"warning", "info"} <= set(unreached):
            example = "{receivers: {team: {kind: slack, url_file: secrets/slack}}, critical: [team]}"
            return msg(
                "alerts reach no one: write e.g. `notifications: {example}` (docs/alerts.md)", example=example
            )
        return msg("critical alerts reach no one: add a receiver to notifications.critical (docs/alerts.md)")

    @property
    def wakes_nobody(self) -> bool:
        """Whether critical alerts would reach somebody, but `page` has taken those that wake people from them
        and reaches no one.
        """
        return self.monitoring.alertmanager.enabled and self.notifications.wakes_nobody

    @property
    def watched_by_nobody(self) -> str:
        """In one line that nobody elsewhere misses this stack, and what to write; empty where a watcher does,
        or where there are no alerts, or no Alertmanager to send them.
        """
        if "watchdog" not in self.unreached or not self.monitoring.alertmanager.enabled:
            return ""
        if self.notifications.is_example("watchdog"):
            watcher = msg(
                "replace the example address in notifications.watchdog with the address of a real watcher"
            )
        elif self.notifications.watchdog:
            watcher = msg(
                "the receiver in notifications.watchdog is on this host and would fail with this host; send "
                "Watchdog to an external watcher"
            )
        else:
            watcher = msg(
                "send Watchdog to an external watcher: `notifications: {{receivers: {{watcher: "
                "{{kind: webhook, url_file: secrets/watcher}}}}, watchdog: [watcher]}}`"
            )
        return msg("nobody notices when this stack can no longer send alerts: {watcher}", watcher=watcher)

    @property
    def report_to_nobody(self) -> str:
        """In one line that the weekly report reaches no one, and what to write; empty where it does, or none
        is made.
        """
        made = self.schedule.report is not None and self.schedule.by != "none"
        if not (made and self.monitoring.prometheus.enabled) or self.notifications.info:
            return ""
        example = "{receivers: {team: {kind: slack, url_file: secrets/slack}}, info: [team]}"
        return msg(
            "the weekly report reaches no one: write e.g. `notifications: {example}` (docs/jobs.md)",
            example=example,
        )

    @property
    def served_certificate(self) -> str | None:
        """Name of the certificate that nginx serves, or None for plain HTTP."""
        served = [name for name, c in self.certificates.items() if c.source != "external"]
        return self.nginx.certificate or (served[0] if served else None)
