"""Whom alerts and the weekly report reach, and how they are sent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from techsapo_ops.messages import msg
from techsapo_ops.spec.models.base import (
    ClockTime,
    HostPort,
    Name,
    PositiveDuration,
    Section,
    Text,
    TimeZone,
    is_loopback,
)
from techsapo_ops.spec.secret import Secret

_RESERVED = re.compile(r"(?:.*\.)?(?:example(?:\.(?:com|net|org))?|invalid)\.?", re.IGNORECASE)
"""Domains that are nobody's, but for examples (RFC 2606)."""


class SlackReceiver(Section):
    """Alerts to a Slack channel: that of the webhook."""

    kind: Literal["slack"]
    """Sends alerts to Slack."""
    url: Secret | None = None
    """URL of the Slack incoming webhook."""


class EmailReceiver(Section):
    """Alerts by e-mail; needs `notifications.smtp`."""

    kind: Literal["email"]
    """Sends alerts by e-mail."""
    to: Text
    """One or more addresses, separated by commas."""


class WebhookReceiver(Section):
    """Alerts as JSON to a URL."""

    kind: Literal["webhook"]
    """Sends alerts as a POST to a URL."""
    url: Secret | None = None
    """URL that alerts are sent to."""


class RawReceiver(Section):
    """Any other Alertmanager receiver, passed through: `config: {pagerduty_configs: […]}`."""

    kind: Literal["alertmanager"]
    """Sends alerts to any receiver that Alertmanager supports."""
    config: dict[str, list[dict[str, Any]]]
    """The receiver as Alertmanager's documentation writes it; prefer its *_file keys for secrets."""

    @property
    def empty(self) -> bool:
        """Whether it sends to nobody: Alertmanager takes `config: {}` and `webhook_configs: []`."""
        return not any(self.config.values())


Receiver = Annotated[
    SlackReceiver | EmailReceiver | WebhookReceiver | RawReceiver, Field(discriminator="kind")
]


class Smtp(Section):
    """How e-mail receivers send."""

    smarthost: HostPort
    """Mail server (host:port)."""
    sender: Text
    """The From address."""
    username: Text | None = None
    """Account on the mail server; default: none."""
    password: Secret | None = None
    """Password of the account."""
    require_tls: bool = True
    """Refuse to send mail without STARTTLS."""


Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class BusinessHours(Section):
    """When people are at work. Alerts of priority P2 that are not critical wait for these hours."""

    days: Annotated[tuple[Weekday, ...], Field(min_length=1)] = (
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
    )
    """Days of the week with business hours."""
    start: ClockTime = "09:00"
    """Start of the business hours, HH:MM."""
    end: ClockTime = "18:00"
    """End of the business hours, HH:MM, 24:00 at the latest."""
    timezone: TimeZone = "Asia/Tokyo"
    """Time zone of the business hours, e.g. Asia/Tokyo or UTC."""


class NextReceivers(Section):
    """Whom an alert that pages reaches if nobody acknowledged it."""

    after: PositiveDuration = "15m"
    """How long the alert must have been firing before these receivers are notified: at most 7d, and longer
    than in the previous entry.
    """
    receivers: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Names of the receivers to notify after that time."""


class Notifications(Section):
    """Receivers by severity; a severity without receivers is shown in Alertmanager only."""

    receivers: dict[Name, Receiver] = {}
    """Receivers (people and programs) by a name of your choice; the lists such as `page` and `critical` use
    these names.
    """
    business_hours: BusinessHours | None = None
    """Hours in which alerts that are not urgent (P2) are sent; default: all alerts are sent at once."""

    page: tuple[Name, ...] = ()
    """Receivers of alerts that wake people (label page="true"); default: the receivers of `critical`."""
    critical: tuple[Name, ...] = ()
    """Receivers of critical alerts."""
    warning: tuple[Name, ...] = ()
    """Receivers of warnings."""
    info: tuple[Name, ...] = ()
    """Receivers of informational alerts and of the weekly report."""
    watchdog: tuple[Name, ...] = ()
    """Receivers of the Watchdog alert, which always fires and is sent every 50 seconds. Name an external
    watcher that notices when this alert stops arriving. The end of the alert is not sent.
    """
    next: Annotated[tuple[NextReceivers, ...], Field(max_length=5)] = ()
    """Receivers that are notified next, in order, while nobody acknowledges an alert that wakes people;
    default: none.
    """
    smtp: Smtp | None = None
    """Mail server for e-mail receivers."""

    def reaches(self, name: str) -> bool:
        """Whether the list of that name reaches anybody: not with an example's address, nor does a watcher on
        this very host count. Those of `critical` are reached where those who are woken are, too.
        """
        listed = self.named(getattr(self, name))
        reached = _anybody(r for r in listed if name != "watchdog" or not _is_here(r))
        return reached and (name != "critical" or _anybody(self.named(self.paged)))

    def is_example(self, name: str) -> bool:
        """Whether the list of that name has an example's address."""
        names = (*getattr(self, name), *(self.page if name == "critical" else ()))
        return any(map(_reserved, self.named(names)))

    def named(self, names: Iterable[str]) -> tuple[Receiver, ...]:
        """The receivers of those names; that there is none of a name is an error of the spec."""
        return tuple(self.receivers[name] for name in names if name in self.receivers)

    @property
    def paged(self) -> tuple[str, ...]:
        """Names of the receivers that wake people."""
        return self.page or self.critical

    @property
    def wakes_nobody(self) -> bool:
        """Whether `critical` reaches somebody and `page`, which stands in its place, does not."""
        return _anybody(self.named(self.critical)) and not _anybody(self.named(self.paged))

    @property
    def other_kind(self) -> str | None:
        """The first receiver of a kind that none of the paged ones has: it hears that these can't be
        reached.
        """
        kinds = {receiver.kind for receiver in self.named(self.paged)}
        others = (name for at, listed in self.lists() for name in listed if at != "watchdog")
        return next((n for n in others if n in self.receivers and self.receivers[n].kind not in kinds), None)

    @property
    def first_next(self) -> NextReceivers | None:
        """The first of the next receivers that reach anybody."""
        return next((step for step in self.next if _anybody(self.named(step.receivers))), None)

    def lists(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Every list of names of receivers, by its dotted path below `notifications`."""
        for name in ("page", "critical", "warning", "info", "watchdog"):
            yield name, getattr(self, name)
        for number, step in enumerate(self.next):
            yield f"next.{number}.receivers", step.receivers


def _anybody(receivers: Iterable[Receiver]) -> bool:
    return any(not (r.empty if isinstance(r, RawReceiver) else _reserved(r)) for r in receivers)


def _reserved(receiver: Receiver) -> bool:
    """Whether all of it is in domains that are nobody's."""
    hosts = _hosts(receiver)
    return bool(hosts) and all(map(_RESERVED.fullmatch, hosts))


def _is_here(receiver: Receiver) -> bool:
    """Whether it is a URL of this very host."""
    return not isinstance(receiver, EmailReceiver) and any(map(is_loopback, _hosts(receiver)))


def _hosts(receiver: Receiver) -> list[str]:
    match receiver:
        case EmailReceiver():
            return domains(receiver.to)
        case RawReceiver():
            return []
    try:
        host = urlsplit(receiver.url.reveal()).hostname if receiver.url is not None else None
    except ValueError:  # it is no URL, which others tell
        host = None
    return [host] if host else []


_ADDRESS = re.compile(r"""(?:[^\s@<>()\[\],;:"\\]+|"[^"\\]+")@([^\s@<>()\[\],;:"\\]+)""")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NOTHING_BETWEEN = re.compile(r",(?:\s*,)+")
LIKE = msg("write e.g. ops@example.com, or Ops <ops@example.com>, with commas between several")


def domains(text: str) -> list[str]:
    """The domains of the addresses in `text`, one or several with commas between; none where one of them
    is no address.
    """
    from email.utils import getaddresses  # which most specs don't need

    if _CONTROL.search(text) or text.count("<") != text.count(">"):
        return []  # a line break would begin another header
    listed = getaddresses([_NOTHING_BETWEEN.sub(",", text).strip(" ,")])
    # What is not there as it is, was put together over a blank.
    matches = [_ADDRESS.fullmatch(address) if address in text else None for _, address in listed]
    return [match[1] for match in matches if match] if all(matches) else []
