"""Since when an alert fires: what its messages say, so that a list and a page say no other time.

Prometheus counts from when the condition began, Alertmanager from when the alert was sent first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from techsapo_ops.adapters.alertmanager import Alert
from techsapo_ops.adapters.prometheus import Firing

Labels = frozenset[tuple[str, str]]


def beginnings(alerts: Iterable[Alert]) -> Mapping[Labels, datetime]:
    """By the labels of an alert."""
    return {frozenset(a.labels.items()): a.starts_at for a in alerts}


def began_of(alert: Firing, began: Mapping[Labels, datetime]) -> datetime:
    """Since when it fires; of one that does not yet, since when its condition holds."""
    known = began.get(frozenset(alert.labels.items())) if alert.state == "firing" else None
    return known or alert.since


def moment_text(when: datetime) -> str:
    """A moment as messages say it, in this process's time zone, which is named."""
    return when.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
