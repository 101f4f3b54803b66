"""Closes incidents, notes who has them, and has those investigated that wait for it, each by one instance.

Which one is a matter of a lease in the database. An instance that dies renews it no more, and another one
goes on with what the time line has. One that was only slow finds that it has lost it.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import structlog

from techsapo_ops.incidents.incident import over
from techsapo_ops.serve.incidents.investigation import Investigation, Lease, Lost
from techsapo_ops.stores.audit.shared_tables import Away
from techsapo_ops.stores.incidents.rows import COLUMN, Change, Entry, Incident, State
from techsapo_ops.stores.incidents.store import IncidentStore, open_ones, waiting

log = structlog.get_logger()

Holders = Sequence[tuple[Mapping[str, str], str]]
"""The labels of alerts that somebody has, and who has each."""
EVERY = 5.0
"""Seconds between two looks at what is due, if nothing wakes it."""
LEASE = timedelta(seconds=15)
RENEW = 4.0
AT_ONCE = 40
"""Investigations of one instance at once: of a storm each has its first message soon."""


@dataclass(eq=False, slots=True)
class Runner:
    """The investigations of `instance`, each of `deadline` at most."""

    store: IncidentStore
    investigation: Investigation
    deadline: timedelta
    instance: str
    held: Callable[[], Holders | None] = lambda: None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _name: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop | None = None
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _away: bool = False

    @property
    def _worker(self) -> str:
        return f"{self.instance} {self._name}"

    def wake(self) -> None:
        """Look now. May be called from any thread once `watch` runs."""
        if (loop := self._loop) is not None:
            loop.call_soon_threadsafe(self._woken.set)

    async def watch(self) -> None:
        """Look again and again, until cancelled; investigations under way are left to others then."""
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                self._woken.clear()
                await self.look()
                with suppress(TimeoutError):
                    async with asyncio.timeout(EVERY):
                        await self._woken.wait()
        finally:
            self._loop = None
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)

    async def look(self) -> None:
        """Do what is due now, and begin what there is room for."""
        try:
            await asyncio.to_thread(self._sweep)
            for incident in await asyncio.to_thread(self._taken, AT_ONCE - len(self._tasks)):
                task = asyncio.create_task(self._investigate(incident))
                self._tasks.add(task)
                task.add_done_callback(self._ended)
            self._away = False
        except Away as error:
            if not self._away:
                log.error("Incidents can't be read or written", error=str(error))
            self._away = True

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._woken.set()

    def _sweep(self) -> None:
        now, held = self.now(), self.held()

        def decide(state: State) -> list[Change]:
            closed = over(state, now)
            numbers = {change.incident.number for change in closed}
            left = [i for i in state.incidents if i.number not in numbers]
            return [*closed, *(self._noted(left, state, held) if held is not None else ())]

        self.store.change(open_ones, decide)

    def _noted(self, incidents: Iterable[Incident], state: State, held: Holders) -> Iterator[Change]:
        """The incidents that somebody else has by now."""
        for incident in incidents:
            labels = [alert.labels for alert in state.alerts if alert.incident == incident.number]
            names = {by for of, by in held if any(of.items() <= each.items() for each in labels)}
            holders = ", ".join(sorted(names))[: COLUMN["holders"]]
            if holders != incident.holders:
                entry = Entry(self.now(), "acknowledged", holders)
                yield Change(replace(incident, holders=holders), entries=(entry,))

    def _taken(self, room: int) -> list[Incident]:
        """Incidents that wait and that are this instance's now, the oldest first."""
        taken: list[Incident] = []
        for each in self.store.incidents(waiting(self.now()), limit=max(0, room), oldest=True):
            incident = self.store.alter(each.number, self._take)
            if incident is not None and incident.worker == self._worker:
                taken.append(incident)
        return taken

    def _take(self, incident: Incident) -> Change | None:
        now = self.now()
        resumed = incident.investigation == "running"
        if incident.investigation != "due" and not (resumed and (incident.lease or now) < now):
            return None
        lease, began = now + LEASE, incident.investigated or now
        mine = replace(
            incident, investigation="running", worker=self._worker, lease=lease, investigated=began
        )
        text = "resumed" if resumed else ""
        return Change(mine, entries=(Entry(now, "investigating", text, self.instance),))

    async def _investigate(self, incident: Incident) -> None:
        number = incident.number
        lease = Lease(self.store, number, self._worker, self.now)
        until = (incident.investigated or self.now()) + self.deadline
        work = asyncio.create_task(self.investigation.run(incident, lease, until))
        try:
            while not (await asyncio.wait({work}, timeout=RENEW))[0]:
                with suppress(Away):
                    lasts = self.now() + LEASE
                    if not await asyncio.to_thread(self.store.renew, number, self._worker, lasts):
                        raise Lost
            work.result()
        except Lost:
            log.warning("Another instance has taken over an investigation", incident=number)
        except Away as error:
            log.error("An investigation waits for the database", incident=number, error=str(error))
        except Exception:
            log.exception("An investigation failed", incident=number)
            with suppress(Away, Lost):
                await lease.note("stopped", "an internal error; the app's log has the details")
                await lease.done()
        finally:
            if not work.done():
                work.cancel()
                await asyncio.wait({work})
                with suppress(Away):  # let another one go on at once
                    over_now = asyncio.to_thread(self.store.renew, number, self._worker, self.now())
                    await asyncio.shield(over_now)
