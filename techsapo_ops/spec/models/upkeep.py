"""Upkeep: backups, when jobs run, and logs."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field

from techsapo_ops.spec.models.base import (
    LABEL_NAME_PATTERN,
    Count,
    Cron,
    FilePath,
    NotASwitch,
    PositiveDuration,
    Section,
    Size,
    SyslogServer,
    Text,
    known_home,
)
from techsapo_ops.spec.secret import Secret


class Keep(Section):
    """How many backups of each age are kept."""

    daily: Count = 7
    """Days of which the last backup is kept."""
    weekly: Count = 4
    """Weeks of which the last backup is kept."""
    monthly: Count = 6
    """Months of which the last backup is kept."""


FOLDER = "local:"
"""What restic may be told before the path of a folder."""


def _repository(value: str) -> str:
    folder = value.removeprefix(FOLDER)
    if ":" not in folder:
        known_home(folder)
    return value


Repository = Annotated[Text, AfterValidator(_repository)]
"""A repository as restic names it; one without a colon is a folder."""


class Offsite(Section):
    """A restic repository that backups are copied to."""

    restic: Repository
    """The repository, as restic names it: s3:…, sftp:…, rest:…, or a folder."""
    options: dict[Text, Text] = Field(default_factory=dict)
    """Options of restic's `-o`, e.g. `sftp.args: -i /etc/techsapo/backup-key`."""
    password: Secret | None = None
    """Password of the repository."""
    password_kept: Text | None = None
    """Where people find the password when this host is gone, in your words: `safe in room 3`. Never the
    password itself: it is printed on the recovery card."""
    prune: bool = False
    """Let `backup prune` remove copies there, by `keep`, too. Whoever takes this host over can remove all of
    them then: an exposure, `offsite-prune`. Where the server refuses deletions, leave it off."""
    environment: dict[Annotated[str, Field(pattern=LABEL_NAME_PATTERN)], Secret] | None = None
    """Variables by which restic logs in, such as AWS_ACCESS_KEY_ID; values are secrets; NAME_file takes one
    from a file. Default: those of the environment, which cron has not."""


class Backup(Section):
    """Where backups go and how long they stay."""

    path: FilePath | None = None
    """Folder of the backups; default: backups/ in the state directory."""
    keep: Keep = Field(default_factory=Keep.model_construct)
    """How many backups of each age are kept."""
    offsite: Offsite | None = None
    """A second place, by restic."""
    paths: tuple[FilePath, ...] = ()
    """Further files and folders, beside the spec, the generated files and the certificates."""
    prometheus: bool = False
    """Back up Prometheus's samples too; starts it with its admin API: see `monitoring.prometheus.login`."""


JobName = Literal[
    "backup", "verify", "prune", "certs", "drift", "costs", "report", "verify_offsite", "drill_alert",
]  # fmt: skip


class Schedule(Section):
    """Cron expressions, in the host's time zone; null turns a job off."""

    by: Literal["service", "cron", "none"] = "service"
    """Who starts the jobs: a service of the stack, which there is natively alone, cron (`techsapo cron
    install`), or nobody."""
    backup: Cron | None = "0 2 * * *"
    """When backups are made."""
    verify: Cron | None = "0 4 * * *"
    """When the newest backup is restored on trial."""
    prune: Cron | None = "30 4 * * *"
    """When old backups are removed."""
    certs: Cron | None = "17 3,15 * * *"
    """When certificates are checked and renewed."""
    drift: Cron | None = "*/30 * * * *"
    """When what runs is compared with the spec."""
    costs: Cron | None = "10 0 * * *"
    """When costs are summed up."""
    report: Cron | None = "0 8 * * 1"
    """When the weekly report is sent."""
    verify_offsite: Cron | None = "0 5 * * 0"
    """When a backup is fetched from off-site and restored on trial; without `backup.offsite` it is not."""
    drill_alert: Cron | None = "30 10 * * 3"
    """When an alert is drilled, while somebody is there to see it; without an Alertmanager it is not."""
    timeouts: dict[JobName, PositiveDuration] = {}
    """By job name, the time after which a try is ended, with all it started; default: the job's own."""

    def times(self) -> dict[str, str | None]:
        """Cron expression by job name, None for one that is turned off."""
        return {name: getattr(self, name) for name in get_args(JobName)}

    def applicable(self, *, offsite: bool, alerts: bool) -> Schedule:
        """Without the defaults of jobs that have nothing to do; a time that the file gives stays.

        `offsite`: whether backups are copied to a second place; `alerts`: whether alerts are sent.
        """
        idle = {
            *(() if offsite else ("verify_offsite",)),
            *(() if alerts else ("drill_alert",)),
        } - self.model_fields_set
        return self.model_copy(update=dict.fromkeys(idle)) if idle else self


class Logs(Section):
    """What is logged and how long it is kept."""

    level: Literal["error", "warn", "info", "debug"] = "info"
    """error: system and provider failures; warn: also answers below a threshold; info: also normal
    operation; debug: everything."""
    max_size: Size = "10M"
    """Size at which a log file is rotated."""
    keep: Annotated[int, Field(ge=1, le=365), NotASwitch] = 7
    """Rotated files that are kept."""
    compress: bool = True
    """Compress rotated files."""
    syslog: SyslogServer | None = None
    """A syslog server that the host's rsyslog sends the lines to (docs/traces-and-logs.md), HOST:PORT.
    By tcp what can't be sent waits, on 256 MB of disk; by udp://HOST:PORT what gets lost is lost."""
