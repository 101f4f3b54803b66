"""What became of answers, read once a minute for all who ask."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from techsapo_ops.serve.bodies.feedback import ModelRecordBody, RecordsBody
from techsapo_ops.stores.labels.store import LabelStore
from techsapo_ops.wallbounce.feedback.judged import Judged, judged
from techsapo_ops.wallbounce.feedback.track_record import balance, track_records

MOST = 2000
"""Requests that count, the newest: to read ten times as many takes seconds of a processor."""
LONGEST = 366
"""Days that can be asked for."""
FRESH = 60.0
"""Seconds for which nothing is read again."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read, the newest first; `since` is its oldest time where older requests were left out."""

    analyses: tuple[Judged, ...]
    now: datetime
    since: datetime | None


class Records:
    """The records of the last days. Everybody may ask for them, so that they are computed for all at once."""

    def __init__(self, store: LabelStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._reading: asyncio.Task[_Known] | None = None
        self._until = 0.0
        self._bodies: dict[int, RecordsBody] = {}

    async def of(self, days: int) -> RecordsBody:
        """Those of so many days, at most LONGEST. Raises Away."""
        reading = self._reading
        failed = reading is not None and reading.done() and reading.exception() is not None
        if reading is None or failed or self._clock() >= self._until:
            self._until, self._bodies = self._clock() + FRESH, {}
            self._reading = reading = asyncio.create_task(asyncio.to_thread(self._read))
        # One who goes away must not take the answer from the others.
        known, bodies = await asyncio.shield(reading), self._bodies
        if days not in bodies:
            bodies[days] = await asyncio.to_thread(_body, known, days)
        return bodies[days]

    def _read(self) -> _Known:
        now = datetime.now(UTC)
        rows = self._store.answered(now - timedelta(days=LONGEST), MOST + 1)
        return _Known(judged(rows[:MOST]), now, rows[MOST - 1].time if len(rows) > MOST else None)


def _body(known: _Known, days: int) -> RecordsBody:
    begin = known.now - timedelta(days=days)
    every = tuple(each for each in known.analyses if each.time >= begin)
    real = tuple(each for each in every if not each.simulated)
    analyses = real or every
    sums = balance(analyses)
    return RecordsBody(
        days=days,
        counted_since=known.since.isoformat() if known.since is not None and known.since > begin else None,
        simulated=bool(every) and not real,
        models=[ModelRecordBody.model_validate(each) for each in track_records(analyses)],
        judged=sums.judged,
        right=sums.right,
        sure=sums.sure,
        sure_right=sums.sure_right,
        declined=sums.declined,
        declined_right=sums.declined_right,
        usd_per_right=sums.usd_per_right,
    )
