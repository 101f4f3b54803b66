"""What may be silenced, and for how long at least; of what fires, since when, and what nobody is told of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from techsapo_ops.adapters.alertmanager import Alert as Held
from techsapo_ops.adapters.alertmanager import Matcher, Silence
from techsapo_ops.adapters.prometheus import Firing
from techsapo_ops.catalogue.alerts import WATCHDOG, Alert, alerts
from techsapo_ops.catalogue.series import NEXT
from techsapo_ops.messages import msg
from techsapo_ops.spec.models import Spec

Labels = frozenset[tuple[str, str]]
SHORTEST = 60.0
"""Seconds that a silence or an acknowledgement lasts at least: Alertmanager refuses one that is over before
it has it, and nobody notices one that ends before the next message."""
HOURS = (1, 2, 4, 8, 24)
"""What the form that acknowledges offers."""
LONGEST_COMMENT = 300
"""Characters of the comment of an acknowledgement."""
WHY_NOT_WATCHDOG = msg(
    "this alert must keep firing: if it is silenced, the outside monitor reports this stack as down"
)


def beginnings(held: Iterable[Held]) -> Mapping[Labels, datetime]:
    """Since when each fires, by its labels.

    As messages say it, so that a list and a page say no other time: Prometheus counts from when the
    condition began, Alertmanager from when the alert was sent first.
    """
    return {frozenset(a.labels.items()): a.starts_at for a in held}


def began_of(alert: Firing, began: Mapping[Labels, datetime]) -> datetime:
    """Since when it fires; of one that does not yet, since when its condition holds."""
    known = began.get(frozenset(alert.labels.items())) if alert.state == "firing" else None
    return known or alert.since


def moment_text(when: datetime) -> str:
    """A moment as messages say it, in this process's time zone, which is named."""
    return when.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def is_comment(text: str) -> bool:
    """Whether it can stand in a line of a page, a message and a terminal."""
    return len(text) <= LONGEST_COMMENT and text.isprintable()


def mutes_watchdog(matchers: Sequence[Matcher]) -> bool:
    """Whether a silence of `matchers` holds for Watchdog."""
    return all(m.holds(_labels(alerts()[WATCHDOG])) for m in matchers)


@dataclass(frozen=True, slots=True)
class Hushed:
    """A silence that holds, and the critical alerts of which nobody is told meanwhile, at least of some."""

    silence: Silence
    alerts: tuple[str, ...]


def over_critical(silences: Iterable[Silence], spec: Spec) -> tuple[Hushed, ...]:
    """Those of `silences` that hold for critical alerts of `spec`, the one that ends last first.

    One that names a label which tells alerts of a name apart, such as instance, holds for some of them. An
    acknowledgement is none: the alert itself is sent as before.
    """
    critical = [a for a in alerts(hosts=len(spec.hosts)).values() if a.severity == "critical"]
    hushed = []
    for silence in silences:
        names = tuple(a.name for a in critical if _may_hold(silence.matchers, _labels(a)))
        if silence.state == "active" and names:
            hushed.append(Hushed(silence, names))
    return tuple(sorted(hushed, key=lambda each: each.silence.ends, reverse=True))


def _may_hold(matchers: Sequence[Matcher], known: Mapping[str, str]) -> bool:
    return all(m.holds(known) for m in matchers if m.name in known)


def _labels(alert: Alert) -> dict[str, str]:
    """What every alert of that name has alike where it is first sent."""
    own = {"alertname": alert.name, "severity": alert.severity, "priority": alert.priority}
    return {**own, "service": alert.service, NEXT: ""}


@dataclass(frozen=True, slots=True)
class Muted:
    """Why nobody is told; `until` is when the last of the silences ends, where it is known."""

    why: Literal["silenced", "inhibited"]
    until: datetime | None = None


def muted(held: Iterable[Held], silences: Iterable[Silence]) -> Mapping[Labels, Muted]:
    """By the labels of an alert."""
    ends = {silence.id: silence.ends for silence in silences}
    return {frozenset(a.labels.items()): _muted(a, ends) for a in held if a.state == "suppressed"}


def _muted(alert: Held, ends: Mapping[str, datetime]) -> Muted:
    if not alert.silenced:
        return Muted("inhibited")
    return Muted("silenced", max((ends[i] for i in alert.silenced_by if i in ends), default=None))
