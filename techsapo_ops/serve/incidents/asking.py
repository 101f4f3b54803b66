"""What the panel says of an alert, an incident or a question that a person asks about."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.monitoring_server import ApiError
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.catalogue.translations import in_language
from techsapo_ops.errors import OpsError
from techsapo_ops.incidents.bundle import material_of
from techsapo_ops.incidents.evidence import Pack
from techsapo_ops.incidents.material import Material, Subject
from techsapo_ops.incidents.subject import Known, alert_subject
from techsapo_ops.serve.answers.metering import Account
from techsapo_ops.serve.bodies.incidents import AskedBody, InquiryBody
from techsapo_ops.serve.http.auth import Caller
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.serve.incidents.desk import Desk
from techsapo_ops.serve.incidents.investigation import Investigation
from techsapo_ops.serve.incidents.messages import lines_of, seen_lines
from techsapo_ops.serve.incidents.story import Drawn, Story, document_of


@dataclass(frozen=True, slots=True)
class Questions:
    """Asks for people, who pay as for any question. `deadline` is in seconds; `desk` is None where incidents
    are not kept.
    """

    investigation: Investigation
    known: Known
    deadline: float
    desk: Desk | None = None
    prometheus: Prometheus | None = None

    async def answer(self, body: AskedBody, caller: Caller, request_id: str) -> InquiryBody:
        """The panel's verdict. Raises Problem for what there is not, and Away."""
        pack, drawn = await asyncio.to_thread(self._known, body)
        asked = self.investigation
        sent = asked.leaving(pack)
        if drawn is None and body.ask:
            account = Account.of(asked.purse.spending, caller.key, request_id)
            until = asked.now() + timedelta(seconds=self.deadline)
            drawn = await asked.drawn(sent, (), request_id, account, until)
            who = {"user": caller.user, "key_id": caller.key.id if caller.key is not None else None}
            asked.purse.trail.investigated(account, request_id, drawn.verdict.outcome, **who)
        pack = sent if body.leaving else pack
        shown = () if body.material is not None else seen_lines(pack)
        lines = [*shown, *(lines_of(sent, drawn) if drawn is not None else ())]
        return InquiryBody(
            request_id=request_id,
            text="\n".join(in_language(line, asked.language) for line in lines),
            outcome=drawn.verdict.outcome if drawn is not None else "evidence_only",
            verdict=document_of(drawn) if drawn is not None else {},
            evidence=document_of(pack),
        )

    def _known(self, body: AskedBody) -> tuple[Pack, Drawn | None]:
        """The evidence, and the verdict where there is one on an incident. Blocks."""
        about, since = body.about.strip(), timedelta(seconds=body.since)
        asked, now = self.investigation, self.investigation.now()
        if self.desk is not None and about.isascii() and about.isdigit() and len(about) < 10:
            incident = self.desk.incident(int(about))
            story = Story.of(asked.store.entries(incident.number))
            return story.pack or asked.evidence(incident), story.drawn
        if body.material is not None:
            return asked.pack(_material(body.material)), None
        subject = self._subject(about, now, since)
        return asked.pack(asked.gather(subject, *subject.window(now, since))), None

    def _subject(self, about: str, now: datetime, since: timedelta) -> Subject:
        if self.prometheus is not None and about.isidentifier():
            try:
                subject = alert_subject(self.prometheus, about, self.known, now)
            except (Unreachable, ApiError):
                subject = None
            if subject is not None:
                return subject
        return self.known.asked(about, now - since)


def _material(given: Any) -> Material:
    try:
        return material_of(given)
    except OpsError as error:
        raise Problem(422, "invalid_request", error.message) from None
