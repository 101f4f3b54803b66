"""One investigation, from evidence to verdict. What it has done is in the time line, so that another instance
can go on with it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from techsapo_ops.catalogue.checks import Known
from techsapo_ops.catalogue.translations import Language, in_language
from techsapo_ops.errors import OpsError
from techsapo_ops.incidents.bundle import bounded
from techsapo_ops.incidents.evidence import Pack
from techsapo_ops.incidents.incident import earlier, subject_of
from techsapo_ops.incidents.labels import Watched
from techsapo_ops.incidents.material import Change as EvidenceChange
from techsapo_ops.incidents.material import Material, Subject
from techsapo_ops.incidents.question import Inquiry
from techsapo_ops.incidents.verdict import Struck, verdict_of
from techsapo_ops.masking.masker import Masker
from techsapo_ops.messages import msg
from techsapo_ops.serve.answers.audit_trail import AuditTrail
from techsapo_ops.serve.answers.metering import Account
from techsapo_ops.serve.answers.spending import LIFE_MARGIN, Spending
from techsapo_ops.serve.incidents.messages import first_message, stopped_message, verdict_message
from techsapo_ops.serve.incidents.panel import Panel
from techsapo_ops.serve.incidents.sending import Messenger
from techsapo_ops.serve.incidents.story import Drawn, Story, text_of
from techsapo_ops.stores.incidents.rows import Change, Entry, EntryKind, Incident
from techsapo_ops.stores.incidents.store import IncidentStore, incidents_table
from techsapo_ops.stores.keys import ApiKey

log = structlog.get_logger()

MARGIN = 3.0
"""Seconds of an investigation that are kept for writing and telling what it found."""
GATHERED_AT_ONCE = 8
"""Incidents whose evidence is collected at once, in threads of their own: renewals of leases need others."""
ASKED_AT_ONCE = 8
"""Incidents that the panel is asked about at once; others wait, and their first messages do not."""
PURSE = "investigations"
"""By which the budget's ledger and the audit log tell what investigations spend, as by an API key's id."""
_MOST_EVENTS = 100
_MOST_RESOLVED = 200


class Lost(Exception):
    """Another instance investigates the incident by now."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of `worker` to investigate an incident, for as long as it is renewed."""

    store: IncidentStore
    number: int
    worker: str
    now: Callable[[], datetime]

    async def note(self, kind: EntryKind, text: str = "") -> None:
        """Add an entry to the time line. Raises Lost or Away."""
        await asyncio.to_thread(self._alter, lambda incident: incident, Entry(self.now(), kind, text))

    async def done(self) -> None:
        """The investigation is over. Raises Lost or Away."""
        await asyncio.to_thread(
            self._alter, lambda i: replace(i, investigation="done", worker=None, lease=None)
        )

    def _alter(self, after: Callable[[Incident], Incident], *entries: Entry) -> None:
        def decide(incident: Incident) -> Change:
            if incident.worker != self.worker or incident.investigation != "running":
                raise Lost
            return Change(after(incident), entries=entries)

        self.store.alter(self.number, decide)


@dataclass(frozen=True, slots=True)
class Purse:
    """Opens accounts that spend from everybody's budgets and, at most `daily_usd` a day, from the purse."""

    spending: Spending
    trail: AuditTrail
    daily_usd: float
    longest: float
    """Seconds of the longest investigation."""

    def account(self, request_id: str) -> Account:
        """The account of one investigation, which its user opens and closes."""
        key = ApiKey(PURSE, PURSE, "", "premium", (), datetime.now(UTC), daily_usd=self.daily_usd)
        # A reservation that ends by itself counts as spent, so it has to outlive the investigation.
        spending = replace(self.spending, life=max(self.spending.life, self.longest + LIFE_MARGIN))
        return Account.of(spending, key, request_id)

    def booked(self, account: Account, request_id: str, status: str) -> None:
        """Put what it spent into the audit log, from which a purse begins anew where Redis lost it."""
        self.trail.investigated(account, request_id, status, key_id=PURSE)


@dataclass(frozen=True, slots=True)
class Investigation:
    """How incidents are investigated. `gather` reads what there is about a subject from a time to another,
    `pack` makes evidence of it. Both block, the first for 5 s at most.
    """

    store: IncidentStore
    gather: Callable[[Subject, datetime, datetime], Material]
    pack: Callable[[Material], Pack]
    panel: Panel
    purse: Purse
    masker: Callable[[], Masker]
    language: Language
    messenger: Messenger | None = None
    leaving: Callable[[Pack], Pack] = lambda pack: pack
    """What of the evidence may leave the host, for providers and messages."""
    page: Callable[[], str] = lambda: ""
    """Where people open incidents, for messages; empty where nobody elsewhere can. Blocks."""
    watched: Watched = field(default_factory=dict)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    threads: Executor = field(default_factory=lambda: ThreadPoolExecutor(GATHERED_AT_ONCE, "evidence"))
    asking: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(ASKED_AT_ONCE))

    async def run(self, incident: Incident, lease: Lease, until: datetime) -> None:
        """Go on with it from where the time line ends, until `until` at the latest. Raises Lost or Away."""
        story = Story.of(await asyncio.to_thread(self.store.entries, incident.number))
        incident = replace(incident, title=self.masker().mask(incident.title))  # messages leave the host
        sent = _Sent(self, lease, story)
        try:
            left = (until - self.now()).total_seconds() - MARGIN / 2
            async with asyncio.timeout(left):
                await asyncio.sleep(0)  # where no time is left, nothing is begun
                pack = story.pack
                if pack is None:
                    loop = asyncio.get_running_loop()
                    pack = await loop.run_in_executor(self.threads, self.evidence, incident)
                    await lease.note("evidence", text_of(pack))
                pack = self.leaving(pack)
                await sent.tell("first", first_message(incident, pack, self.language))
                drawn = story.drawn
                if drawn is None or story.open:
                    struck = drawn.verdict.struck if drawn is not None else ()
                    drawn = await self._asked(incident, pack, struck, until)
                    await lease.note("verdict", text_of(drawn))
                await sent.tell("verdict", verdict_message(incident, pack, drawn, self.language))
        except TimeoutError:
            why = msg("the investigation ran out of time")
            await lease.note("stopped", in_language(why, self.language))
            await sent.tell("verdict", stopped_message(incident, why, self.language))
        await lease.done()

    def evidence(self, incident: Incident) -> Pack:
        """What is seen, without any model. Blocks."""
        subject = subject_of(incident, self.store.alerts(incident.number), self.watched)
        start, end = subject.window(self.now())
        resolved = self.store.incidents(incidents_table().c.cause.is_not(None), limit=_MOST_RESOLVED)
        sources = (msg("events"), msg("earlier incidents"))
        own = Material(
            subject,
            start,
            end,
            changes=tuple(
                EvidenceChange(e.time, "event", e.text, service=e.service, host=e.host)
                for e in self.store.events(start, end, _MOST_EVENTS)
            ),
            earlier=earlier(incident, resolved),
            read=tuple(in_language(each, self.language) for each in sources),
        )
        return self.pack(bounded(self.gather(subject, start, end).joined(own)))  # else it can't be read again

    async def _asked(
        self, incident: Incident, pack: Pack, struck: tuple[Struck, ...], until: datetime
    ) -> Drawn:
        """The panel's verdict, which the purse pays for; one of the evidence alone where it is empty."""
        request_id = f"incident-{incident.number}"
        account = self.purse.account(request_id)
        async with self.asking:
            drawn = await self.drawn(pack, struck, request_id, account, until)
        self.purse.booked(account, request_id, drawn.verdict.outcome)
        return drawn

    async def drawn(
        self, pack: Pack, struck: tuple[Struck, ...], request_id: str, account: Account, until: datetime
    ) -> Drawn:
        """The verdict of whoever of the panel answers before `until`, as far as `account` can pay."""
        masker, subject = self.masker(), pack.subject
        inquiry = Inquiry(pack, self.language, masker.mask, Known(subject.services, subject.hosts))
        limit = (until - self.now()) / timedelta(seconds=1) - MARGIN
        opinions = await self.panel.ask(inquiry, request_id, masker, account, limit)
        verdict = verdict_of(opinions.findings, inquiry, struck)
        failed = tuple((f.provider, in_language(f.message, self.language)) for f in opinions.failures)
        declined = in_language(opinions.declined, self.language)
        return Drawn(verdict, opinions.findings, failed, declined, opinions.simulated)


class _Sent:
    """Messages, each at most once: it is noted before and after, and never tried again."""

    def __init__(self, investigation: Investigation, lease: Lease, story: Story) -> None:
        self._messenger = investigation.messenger
        self._page = investigation.page
        self._lease = lease
        self._sent: dict[str, Any] = dict(story.sent)

    async def tell(self, message: str, text: str) -> None:
        """Send `text` unless the message of that name was begun before."""
        if self._messenger is None or message in self._sent:
            return
        before = str(self._sent.get("first", {}).get("called", ""))
        await self._note(message, {"state": "begun"})
        try:
            link = await asyncio.to_thread(self._link)
            called = await asyncio.to_thread(self._messenger.send, text, before, link)
        except OpsError as error:
            log.warning("A message about an incident did not arrive", message=message, error=error.message)
            await self._note(message, {"state": "failed", "why": error.message[:200]})
        else:
            await self._note(message, {"state": "sent", "called": called})

    def _link(self) -> str:
        try:
            page = self._page()
        except (OpsError, ValueError, TypeError):  # a message without a link is better than none
            page = ""
        return page and f"{page}?id={self._lease.number}"

    async def _note(self, message: str, what: dict[str, str]) -> None:
        self._sent[message] = what
        await self._lease.note("message", json.dumps({"message": message, **what}, ensure_ascii=False))
