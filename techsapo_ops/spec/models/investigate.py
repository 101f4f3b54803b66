"""Investigations: when one starts by itself, what it may cost, and the team's own services."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from techsapo_ops.spec.models.base import (
    FilePath,
    FolderOrPattern,
    Name,
    PositiveDuration,
    Ratio,
    Section,
    Text,
    Url,
)
from techsapo_ops.spec.secret import Secret


class FileLog(Section):
    """Log files of a host."""

    kind: Literal["file"]
    """Reads log files."""
    path: FilePath
    """Log file; its name may contain `*`."""


class JournaldLog(Section):
    """The journal of a systemd unit."""

    kind: Literal["journald"]
    """Reads the systemd journal."""
    unit: Annotated[str, Field(pattern=r"^[A-Za-z0-9:_.@][A-Za-z0-9:_.@-]{0,254}$")]
    """Name of the unit, such as shop.service."""


class LokiLog(Section):
    """Logs in Grafana Loki."""

    kind: Literal["loki"]
    """Reads from Loki."""
    url: Url
    """Address of Loki, without a path."""
    query: Text
    """Log stream selector in LogQL, such as {app="shop"}."""


Log = Annotated[FileLog | JournaldLog | LokiLog, Field(discriminator="kind")]


class InvestigatedService(Section):
    """A service of the team that Prometheus watches and that techsapo does not run."""

    name: Name
    """Name of the service."""
    match: Annotated[dict[str, Text], Field(min_length=1)]
    """Labels, such as {job: shop}, that alerts and series of this service carry."""
    prometheus: Url | None = None
    """Prometheus that has the service's series; default: the stack's own."""
    logs: tuple[Log, ...] = ()
    """Where the service's logs are read."""
    owner: Text | None = None
    """Person or team to call."""
    runbook: Text | None = None
    """File or URL of the service's runbook."""
    may_leave: Literal["nothing", "patterns", "samples"] = "patterns"
    """What may be sent to providers from the service's logs: nothing, patterns without their variable parts,
    or also one masked sample line of each pattern.
    """


class SlackMessage(Section):
    """A Slack bot that updates its message when the verdict arrives."""

    token: Secret
    """Bot token with the scope chat:write."""
    channel: Annotated[str, Field(pattern=r"^[A-Z0-9]{1,32}$")]
    """Id of the channel."""


class Investigate(Section):
    """Investigations of alerts. Without this section, no investigation starts by itself."""

    start: Literal["page", "all"] = "page"
    """Alerts that start an investigation by themselves: those that wake people (page), or all."""
    cooldown: PositiveDuration = "1h"
    """Time for which an alert that fires again does not start another investigation."""
    deadline: PositiveDuration = "3m"
    """Maximum duration of an investigation."""
    budget_share: Ratio = 0.2
    """Share of the day's budget that investigations may spend; the rest is reserved for questions. When the
    share is spent, investigations show evidence only.
    """
    services: tuple[InvestigatedService, ...] = ()
    """Services of the team that techsapo does not run."""
    slack: SlackMessage | None = None
    """Slack bot whose first message is updated with the verdict."""
    webhook: Secret | None = None
    """URL of an incoming webhook, such as that of Slack or Mattermost, used if there is no `slack`. The
    webhook gets the first message and the verdict as `{"text": …}`.
    """


Knowledge = tuple[FolderOrPattern, ...]
"""Files with the team's own knowledge, or folders of them."""
