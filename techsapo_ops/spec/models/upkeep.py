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
    """Retention: how many backups are kept by age."""

    daily: Count = 7
    """Number of days for which the last backup of the day is kept."""
    weekly: Count = 4
    """Number of weeks for which the last backup of the week is kept."""
    monthly: Count = 6
    """Number of months for which the last backup of the month is kept."""


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
    """The repository in restic's notation: s3:…, sftp:…, rest:…, or a folder."""
    options: dict[Text, Text] = Field(default_factory=dict)
    """Options of restic's `-o`, e.g. `sftp.args: -i /etc/techsapo/backup-key`."""
    password: Secret | None = None
    """Password of the repository."""
    password_kept: Text | None = None
    """Where people find the password when this host is lost, in your own words: `safe in room 3`. This text
    is printed on the recovery card, so never write the password itself.
    """
    prune: bool = False
    """Let `backup prune` also delete the off-site copies that `keep` no longer covers. Anyone who takes over
    this host can then delete all copies: this is the exposure `offsite-prune`. Leave this off if the server
    refuses deletions.
    """
    environment: dict[Annotated[str, Field(pattern=LABEL_NAME_PATTERN)], Secret] | None = None
    """Environment variables for restic's login, such as AWS_ACCESS_KEY_ID. Values are secrets; NAME_file
    reads a value from a file. Default: the variables of the calling environment, which jobs started by cron
    do not have.
    """


class Backup(Section):
    """Where backups are stored, and for how long."""

    path: FilePath | None = None
    """Folder of the backups; default: backups/ in the state directory."""
    keep: Keep = Field(default_factory=Keep.model_construct)
    """How many daily, weekly and monthly backups are kept."""
    offsite: Offsite | None = None
    """A second place to store backups, through restic."""
    paths: tuple[FilePath, ...] = ()
    """Files and folders to back up in addition to the spec, the generated files and the certificates."""
    prometheus: bool = False
    """Back up Prometheus's samples too. Prometheus then runs with its admin API on: see
    `monitoring.prometheus.login`.
    """


JobName = Literal[
    "backup", "verify", "prune", "certs", "drift", "costs", "report", "verify_offsite", "drill_alert",
    "evidence", "feedback",
]  # fmt: skip


class Schedule(Section):
    """Cron expressions, in the host's time zone; null turns a job off."""

    by: Literal["service", "cron", "none"] = "service"
    """What starts the jobs: service (a service of the stack, only with the native engine), cron (`techsapo
    cron install`), or none.
    """
    backup: Cron | None = "0 2 * * *"
    """When backups are made."""
    verify: Cron | None = "0 4 * * *"
    """Schedule of the test restore of the latest backup."""
    prune: Cron | None = "30 4 * * *"
    """When old backups are removed."""
    certs: Cron | None = "17 3,15 * * *"
    """When certificates are checked and renewed."""
    drift: Cron | None = "*/30 * * * *"
    """When the running services are compared with the spec."""
    costs: Cron | None = "10 0 * * *"
    """When costs are totalled."""
    report: Cron | None = "0 8 * * 1"
    """When the weekly report is sent."""
    verify_offsite: Cron | None = "0 5 * * 0"
    """When an off-site copy is fetched and restored as a test; needs `backup.offsite`."""
    drill_alert: Cron | None = "30 10 * * 3"
    """When the alert drill runs. Choose a time when somebody can see the alert. The drill needs
    Alertmanager.
    """
    evidence: Cron | None = "* * * * *"
    """When the app gets the applies, logs and health of this stack for investigations, and the current files
    of `knowledge`; needs `investigate` or `knowledge`. Default with several hosts: every 5 minutes.
    """
    feedback: Cron | None = None
    """When people are asked to label answers, at most five at a time, e.g. `0 9 * * 1-5`. The receivers of
    the weekly report get the message. Needs `audit.prompt: masked` and `audit.answers: masked`. Default:
    never.
    """
    timeouts: dict[JobName, PositiveDuration] = {}
    """Time limit for one try of a job, by job name. A try that takes longer is ended, with all its processes.
    Default: depends on the job.
    """

    def times(self) -> dict[str, str | None]:
        """Cron expression by job name, None for one that is turned off."""
        return {name: getattr(self, name) for name in get_args(JobName)}

    def applicable(self, *, offsite: bool, alerts: bool, evidence: str | None) -> Schedule:
        """Without the defaults of jobs that have nothing to do; a time that the file gives stays.

        `offsite`: whether backups are copied to a second place; `alerts`: whether alerts are sent;
        `evidence`: when the app is given any, None where it needs neither that nor the team's own files.
        """
        otherwise = {
            **({} if offsite else {"verify_offsite": None}),
            **({} if alerts else {"drill_alert": None}),
            "evidence": evidence,
        }
        update = {name: at for name, at in otherwise.items() if name not in self.model_fields_set}
        return self.model_copy(update=update)


class Logs(Section):
    """What is logged, and how long logs are stored."""

    level: Literal["error", "warn", "info", "debug"] = "info"
    """What is logged: failures of the system and of providers (error), also answers below a threshold (warn),
    also normal operation (info), or everything (debug).
    """
    max_size: Size = "10M"
    """Size at which a log file is rotated."""
    keep: Annotated[int, Field(ge=1, le=365), NotASwitch] = 7
    """Number of rotated files that are kept."""
    compress: bool = True
    """Compress rotated files."""
    syslog: SyslogServer | None = None
    """Syslog server (HOST:PORT) to which the host's rsyslog sends the log lines (docs/traces-and-logs.md).
    The lines go over TCP, and up to 256 MB of unsent lines wait on disk. With udp://HOST:PORT, lost lines
    are not sent again.
    """
