"""Who has which alert, as Alertmanager keeps it: for pages, and as a metric for the next message."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from techsapo_ops.adapters.alertmanager import Alertmanager
from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.monitoring_server import ApiError
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.serve.metrics.registry import Sample
from techsapo_ops.serve.options import Options
from techsapo_ops.services.alertmanager.acknowledging import (
    Acknowledgement,
    Claim,
    Episode,
    acknowledge,
    episodes,
    holders,
)
from techsapo_ops.services.alertmanager.silencing import Labels, Muted, beginnings, muted

log = structlog.get_logger()

EVERY = 15.0
"""Seconds between two looks at Alertmanager, for the metric."""
APART = 60.0
"""Seconds that the clocks of two hosts of a stack may differ by."""
GLANCE = 1.0
"""Seconds that each answer of Alertmanager may take which a page does not wait for."""
TIMEOUT = 8.0
"""Seconds in which Prometheus and Alertmanager must answer."""


@dataclass(frozen=True, slots=True)
class Fires:
    """An episode, since when it fires as its messages say, and who has it."""

    episode: Episode
    since: datetime
    held: Acknowledgement | None

    def went_on_at(self, start: int, now: float) -> bool:
        """Whether it went on at `start` already, or began then as its messages say: an alert that flaps
        begins anew for Alertmanager, within the same episode. No alert began after `now` (both Unix
        seconds): a start of the future, put together of parts of several links, would never expire.
        """
        began = self.episode.began.timestamp()
        return began <= start <= now + APART or int(self.since.timestamp()) == start


@dataclass(frozen=True, slots=True)
class Glance:
    """What Alertmanager tells of what fires, by the labels that Prometheus has of it: who has it, since when
    it fires as its messages say, and what nobody is told of.
    """

    held: Mapping[Labels, Acknowledgement] = field(default_factory=dict)
    began: Mapping[Labels, datetime] = field(default_factory=dict)
    muted: Mapping[Labels, Muted] = field(default_factory=dict)


class Acknowledgements:
    """Those of the stack's Alertmanager. Its methods but `samples` and `watch` ask it, and may block.

    They raise Unreachable and ApiError, but for `glance`.
    """

    def __init__(self, prometheus: Prometheus, alertmanager: Alertmanager) -> None:
        self._prometheus = prometheus
        self._alertmanager = alertmanager
        self._known: Sequence[Acknowledgement] = ()
        self._reached = False

    @classmethod
    def of_stack(cls, options: Options, prometheus: Prometheus | None) -> Acknowledgements | None:
        """Those of the stack that `options` tell of; None where it has no Prometheus or no Alertmanager."""
        if prometheus is None or options.alertmanager is None:
            return None
        alertmanager = Alertmanager(options.alertmanager, timeout=TIMEOUT, login=options.alertmanager_login)
        return cls(prometheus, alertmanager)

    def now(self) -> Mapping[Labels, Acknowledgement]:
        """Who has what fires, by the labels that Prometheus has of it."""
        return holders(self._prometheus, self._alertmanager)

    def beginnings(self) -> Mapping[Labels, datetime]:
        """Since when alerts fire, as their messages say."""
        return beginnings(self._alertmanager.alerts())

    def glance(self) -> Glance:
        """What is known for a page that does not wait for it: where there is no answer within a moment,
        who had what at the last look of `watch`, which also tells the log.
        """
        alertmanager = self._alertmanager.within(GLANCE)
        try:
            held = holders(self._prometheus, alertmanager)
            alerts = alertmanager.alerts()
            silences = alertmanager.silences() if any(a.silenced for a in alerts) else ()
        except (Unreachable, ApiError):
            return Glance({frozenset(a.episode.labels.items()): a for a in self._known})
        return Glance(held, beginnings(alerts), muted(alerts, silences))

    def of(self, alert: str) -> list[Fires]:
        """What fires of an alert."""
        firing = [i for i in episodes(self._prometheus) if i.alert == alert]
        if not firing:
            return []
        held, began = self.now(), self.beginnings()
        labels = [frozenset(i.labels.items()) for i in firing]
        return [
            Fires(i, began.get(known, i.began), held.get(known))
            for i, known in zip(firing, labels, strict=True)
        ]

    def take(self, wanted: Sequence[Episode], claim: Claim) -> tuple[Acknowledgement, ...]:
        """Acknowledge; see there, Taken too."""
        return acknowledge(self._alertmanager, wanted, claim)

    @property
    def known(self) -> Sequence[Acknowledgement] | None:
        """Who had what at the last look; None while nobody answers."""
        return self._known if self._reached else None

    def samples(self) -> Iterable[Sample]:
        """Who had what at the last look."""
        for each in self._known:
            yield {"alert": each.episode.alert, "of": each.episode.of, "by": each.by}, 1.0

    async def watch(self, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Look again and again. While nobody answers, nothing is known."""
        told = False
        while True:
            try:
                self._known = tuple((await asyncio.to_thread(self.now)).values())
                self._reached, told = True, False
            except (Unreachable, ApiError) as error:
                self._known, self._reached = (), False
                if not told:
                    log.warning("Acknowledgements can't be read", error=error.message)
                told = True
            await pause(EVERY)
