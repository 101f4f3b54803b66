"""Of what fires, what nobody is told of: a silence matches it, or a worse alert mutes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from techsapo_ops.adapters.alertmanager import Alert, Silence
from techsapo_ops.services.alertmanager.beginnings import Labels


@dataclass(frozen=True, slots=True)
class Muted:
    """Why nobody is told; `until` is when the last of the silences ends, where it is known."""

    why: Literal["silenced", "inhibited"]
    until: datetime | None = None


def muted(alerts: Iterable[Alert], silences: Iterable[Silence]) -> Mapping[Labels, Muted]:
    """By the labels of an alert."""
    ends = {silence.id: silence.ends for silence in silences}
    return {frozenset(a.labels.items()): _muted(a, ends) for a in alerts if a.state == "suppressed"}


def _muted(alert: Alert, ends: Mapping[str, datetime]) -> Muted:
    if not alert.silenced:
        return Muted("inhibited")
    return Muted("silenced", max((ends[i] for i in alert.silenced_by if i in ends), default=None))
