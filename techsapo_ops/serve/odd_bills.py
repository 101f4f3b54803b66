"""Bills of vendors that are far from our own sums, in the log."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from techsapo_ops.wallbounce.events import Event, OddBill

log = structlog.get_logger()

HOUR = 3600.0


class OddBills:
    """An observer of analyses: it tells of a provider's odd bills once an hour for each way to be odd."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[tuple[str, str], float] = {}

    def hear(self, event: Event) -> None:
        """Take note of an event."""
        if not isinstance(event, OddBill):
            return
        kind, now = (event.provider, str(event.bill.odd)), self._clock()
        if now - self._told.get(kind, -HOUR) < HOUR:
            return
        self._told[kind] = now
        log.warning(
            "The vendor's bill for a call is not what tokens and price make; see providers.NAME.price",
            requestId=event.request_id,
            provider=event.provider,
            model=event.model,
            odd=event.bill.odd,
            counted=event.counted_usd,
            booked=event.bill.usd,
        )
