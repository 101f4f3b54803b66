"""Periodic jobs inside a running server."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, tzinfo

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.cron import trigger

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class JobCounts:
    """How often one job ran, failed, and how long its last run took, in seconds."""

    runs: int = 0
    failures: int = 0
    last_seconds: float = 0.0


class Housekeeper:
    """Runs coroutines now and then on the event loop it is started on.

    A job that fails is logged and counted and runs again at its next time. A job that is still running is
    not started a second time, and runs missed meanwhile become one.
    """

    def __init__(self, zone: tzinfo = UTC) -> None:
        self.counts: dict[str, JobCounts] = {}
        self._zone = zone
        self._scheduler = AsyncIOScheduler(
            timezone=zone, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )

    def add(
        self,
        name: str,
        job: Callable[[], Awaitable[object]],
        *,
        seconds: float | None = None,
        cron: str | None = None,
    ) -> None:
        """Run `job` every `seconds`, or at the times of a `cron` expression.

        Raises OpsError for none or both of the two and for a name that is taken, ValueError for a wrong
        expression.
        """
        if name in self.counts:
            raise OpsError(msg("there is already a job {name}", name=name))
        if (seconds is None) == (cron is None):
            raise OpsError(msg("job {name} needs either seconds or a cron expression", name=name))
        when = (
            trigger(cron, self._zone)
            if cron is not None
            else IntervalTrigger(seconds=_positive(name, seconds))
        )
        counts = self.counts[name] = JobCounts()

        async def run() -> None:
            started = time.monotonic()
            try:
                await job()
            except Exception:  # noqa: BLE001 - whatever a job does wrong, the others go on
                counts.failures += 1
                _log.exception("job %s failed", name)
            finally:
                counts.runs += 1
                counts.last_seconds = time.monotonic() - started

        self._scheduler.add_job(run, when, id=name, name=name)

    def start(self) -> None:
        """Begin; call it on the event loop that is to run the jobs."""
        self._scheduler.start()

    def stop(self) -> None:
        """End; jobs under way are cancelled."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)


def _positive(name: str, seconds: float | None) -> float:
    if seconds is None or seconds <= 0:
        raise OpsError(msg("job {name}: its interval must be longer than 0 s", name=name))
    return seconds
