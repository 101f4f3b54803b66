"""The data the stack keeps: Redis, MySQL, backups, logs, and when jobs run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from techsapo_ops.spec.models.base import Count, Cron, ListenHost, Port, Section, Size, Text
from techsapo_ops.spec.secret import Secret


class Redis(Section):
    """Cache and shared counters."""

    enabled: bool = True
    """false: every instance keeps its cache in its own memory."""
    host: ListenHost = "127.0.0.1"
    port: Port = 6379
    maxmemory: Size = "256M"
    appendonly: bool = False
    password: Secret | None = None
    password_file: str | None = None


class Mysql(Section):
    """The audit database; a managed MariaDB. Without this section the audit log is SQLite."""

    host: ListenHost = "127.0.0.1"
    port: Port = 3306
    database: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,64}$")] = "techsapo_audit"
    user: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,32}$")] = "techsapo"
    password: Secret | None = None
    """Default: made at the first start and kept in the state directory."""
    password_file: str | None = None
    buffer_pool: Size = "128M"


class Keep(Section):
    daily: Count = 7
    weekly: Count = 4
    monthly: Count = 6
    yearly: Count = 0


class Offsite(Section):
    """A restic repository that backups are copied to."""

    restic: Text
    password: Secret | None = None
    password_file: str | None = None


class BackupConfig(Section):
    paths: tuple[Text, ...] = ()


class Backup(Section):
    path: str | None = None
    """Default: backups/ in the state directory."""
    keep: Keep = Keep()
    offsite: Offsite | None = None
    config: BackupConfig = BackupConfig()


class Schedule(Section):
    """Cron expressions, in the host's time zone; null turns a job off."""

    backup: Cron | None = "0 2 * * *"
    verify: Cron | None = "0 4 * * *"
    prune: Cron | None = "30 4 * * *"
    certs: Cron | None = "17 3,15 * * *"
    drift: Cron | None = "*/30 * * * *"


class Logs(Section):
    """What is logged and how long it is kept."""

    level: Literal["error", "warn", "info", "debug"] = "info"
    max_size: Size = "10M"
    keep: Annotated[int, Field(ge=1, le=365)] = 7
    compress: bool = True
