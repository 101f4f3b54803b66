"""Rules about who may reach what."""

from __future__ import annotations

from collections.abc import Iterator

from techsapo_ops.spec.edition import PRODUCTION, chosen
from techsapo_ops.spec.findings import Context, Finding
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import is_loopback
from techsapo_ops.spec.models.monitoring import GRAFANA_DOCUMENTED_PASSWORD
from techsapo_ops.spec.problems import Path

_BY_PROGRAM = ("sftp:", "rclone:")
"""Repositories that restic reaches by another program."""


def grafana_password(spec: Spec, context: Context) -> Iterator[Finding]:
    """Production is not reachable with a password that is published."""
    grafana = spec.monitoring.grafana
    path: Path = ("monitoring", "grafana", "admin_password")
    if context.strict and grafana.enabled and grafana.admin_password.reveal() == GRAFANA_DOCUMENTED_PASSWORD:
        file: Path = ("monitoring", "grafana", "admin_password_file")
        yield Finding(
            file if context.written(file) else path,
            f"environment {PRODUCTION} refuses the documented default password",
            "`techsapo init` makes a fresh one; name its file by admin_password_file",
            uses=(("monitoring", "grafana", "enabled"),),
        )


def auth(spec: Spec, context: Context) -> Iterator[Finding]:
    """Whoever reaches the app can spend the budget: beyond loopback only with a key."""
    path: Path = ("app", "auth", "required")
    uses: tuple[Path, ...] = (("app", "host"), ("nginx", "host"))
    if spec.app.auth.required is False and spec.exposed:
        yield Finding(
            path,
            f"whoever reaches {spec.exposed[0]} could spend the providers' budget without a key",
            "remove it, or listen on 127.0.0.1",
            uses,
        )
    elif spec.app.auth.required is False and context.strict:
        yield Finding(path, f"environment {PRODUCTION} answers nobody without an API key", "remove it")


def scheduler(spec: Spec, _: Context) -> Iterator[Finding]:
    """A scheduler in a container is given what its jobs need."""
    socket = spec.schedule.docker_socket
    path: Path = ("schedule", "docker_socket")
    if socket is None:
        return
    if not socket.startswith("/"):
        yield Finding(path, f"{socket} is not an absolute path", "e.g. /var/run/docker.sock")
    offsite = spec.backup.offsite
    if spec.schedule.by == "service" and offsite is not None and offsite.restic.startswith(_BY_PROGRAM):
        kind = offsite.restic.partition(":")[0]
        yield Finding(
            path,
            f"the scheduler's image has not what {kind}: in backup.offsite.restic needs",
            "remove it, and set `schedule.by: cron` or `systemd`",
            uses=(("backup", "offsite", "restic"),),
        )


def prometheus_backup(spec: Spec, context: Context) -> Iterator[Finding]:
    """Only this host reaches the admin API by which Prometheus is backed up."""
    prometheus = spec.monitoring.prometheus
    if spec.backup.prometheus and prometheus.enabled and not is_loopback(prometheus.host):
        place: Path = ("monitoring", "prometheus")
        yield Finding(
            ("backup", "prometheus"),
            f"Prometheus listens on {prometheus.host}: whoever reaches it could delete its samples",
            "let it listen on 127.0.0.1, or leave its samples out of the backup",
            uses=((*place, "host"), (*place, "enabled")),
        )
    elif (
        spec.backup.prometheus and prometheus.enabled and not chosen(prometheus.login, context.edition(spec))
    ):
        yield Finding(
            ("backup", "prometheus"),
            "any user of this host can read and delete Prometheus's samples: its admin API asks for no login",
            "add `monitoring: {prometheus: {login: true}}`",
            uses=(("monitoring", "prometheus", "login"), ("monitoring", "prometheus", "enabled")),
            warning=True,
        )
