"""The whole spec."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from techsapo_ops.spec.models.app import App, Audit, Budget, Providers, WallBounce, default_providers
from techsapo_ops.spec.models.base import Name, Section, Text
from techsapo_ops.spec.models.data import Backup, Logs, Mysql, Redis, Schedule
from techsapo_ops.spec.models.edge import Certificate, Nginx
from techsapo_ops.spec.models.monitoring import Monitoring, Notifications

ServiceKind = Literal[
    "app", "nginx", "redis", "mysql", "prometheus", "alertmanager", "grafana",
    "node-exporter", "redis-exporter", "mysqld-exporter", "nginx-exporter",
]  # fmt: skip


class Spec(Section):
    """One TechSapo stack."""

    project: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$")]
    """Name of the stack: lower-case letters, digits, - and _."""
    locale: Literal["ja", "en"] = "ja"
    """Language of alert texts, pages and dashboards."""
    engine: Literal["auto", "native", "compose"] = "auto"
    """What runs the services: processes of this host (native) or Docker Compose (compose)."""
    app: App = App()
    providers: Annotated[Providers, Field(default_factory=default_providers)]
    wallbounce: WallBounce = WallBounce()
    budget: Budget = Budget()
    audit: Audit = Audit()
    monitoring: Monitoring = Monitoring()
    notifications: Notifications = Notifications()
    redis: Redis = Redis()
    mysql: Mysql | None = None
    nginx: Nginx = Nginx()
    certificates: dict[Name, Certificate] = {}
    backup: Backup = Backup()
    schedule: Schedule = Schedule()
    logs: Logs = Logs()
    images: dict[ServiceKind | Literal["base"], Text] = {}
    """Container images by service; `base` is what the app's image is built from."""
    environments: dict[Name, dict[str, Any]] = {}
    """Overlays by name, merged over the rest by `-e NAME`; null removes a key."""

    @property
    def runs_nginx(self) -> bool:
        """Whether nginx stands in front: asked for, or several instances, or a certificate to serve."""
        served = any(c.source != "external" for c in self.certificates.values())
        return self.nginx.enabled if self.nginx.enabled is not None else len(self.app.instances) > 1 or served

    @property
    def served_certificate(self) -> str | None:
        """Name of the certificate that nginx serves, or None for plain HTTP."""
        served = [name for name, c in self.certificates.items() if c.source != "external"]
        return self.nginx.certificate or (served[0] if served else None)
