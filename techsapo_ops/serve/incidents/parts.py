"""The parts of an instance that have to do with incidents, put together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from techsapo_ops.adapters.process import SubprocessRunner
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.incidents.gather import gather
from techsapo_ops.incidents.pack import leaving, pack_of
from techsapo_ops.incidents.readers.services import watched
from techsapo_ops.incidents.subject import Known
from techsapo_ops.masking.masker import Masker, mask
from techsapo_ops.serve.answers.audit_trail import AuditTrail
from techsapo_ops.serve.answers.spending import Spending
from techsapo_ops.serve.bodies.monitoring import EventMarkBody
from techsapo_ops.serve.incidents.asking import Questions
from techsapo_ops.serve.incidents.desk import Desk
from techsapo_ops.serve.incidents.investigation import Investigation
from techsapo_ops.serve.incidents.panel import Panel
from techsapo_ops.serve.incidents.purse import Purse
from techsapo_ops.serve.incidents.reading import readers_of
from techsapo_ops.serve.incidents.runner import Holders, Runner
from techsapo_ops.serve.incidents.sending import messenger_of
from techsapo_ops.serve.options import Options
from techsapo_ops.serve.pages.acknowledgements import Acknowledgements
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.spec.models.investigate import Investigate
from techsapo_ops.stores.audit.database import audit_server
from techsapo_ops.stores.incidents.store import Away, IncidentStore
from techsapo_ops.wallbounce.orchestrator import WallBounce

PACK_BYTES = 16_000
"""Bytes of evidence that people and providers see."""
MOST_MARKS = 50
"""Events that a chart marks, the newest: more hide its lines."""


@dataclass(frozen=True, slots=True)
class Incidents:
    """What routes ask. `desk` and `runner`, which goes on in the background, are None where the spec has no
    `investigate`: then people can ask, and nothing is kept.
    """

    store: IncidentStore
    questions: Questions
    desk: Desk | None = None
    runner: Runner | None = None

    def marks(self, begin: float, end: float) -> list[EventMarkBody]:
        """The newest events between two moments, oldest first; none where the database does not answer:
        charts go on without them. Blocks.
        """
        if self.desk is None:
            return []
        between = (datetime.fromtimestamp(moment, UTC) for moment in (begin, end))
        try:
            events = self.store.events(*between, MOST_MARKS)
        except Away:
            return []
        return [
            EventMarkBody(text=e.text, time=e.time.timestamp(), service=e.service, host=e.host, by=e.author)
            for e in reversed(events)
        ]


def open_incidents(
    options: Options,
    wallbounce: WallBounce,
    money: tuple[Spending, AuditTrail],
    prometheus: Prometheus | None,
    acknowledgements: Acknowledgements | None,
) -> Incidents:
    """Those of the stack. `money` says what may be spent, and keeps what was."""
    spec, settings = options.spec, options.spec.investigate or Investigate()
    server = audit_server(spec.mysql, options.authorities.mysql, options.audit_members)
    store = IncidentStore(server, options.data / "audit.sqlite")
    teams = watched(settings.services)
    may_leave = {service.name: service.may_leave for service in settings.services}
    deadline = seconds(settings.deadline)
    daily = settings.budget_share * spec.budget.resolved_daily_usd
    masked = partial(mask, level=options.mask)
    readers = readers_of(options, settings, prometheus, SubprocessRunner())
    investigation = Investigation(
        store,
        lambda subject, start, end: gather(subject, start, end, readers),
        lambda material: pack_of(material, PACK_BYTES, masked),
        Panel(wallbounce, "basic"),
        Purse(*money, daily, deadline),
        partial(Masker, options.mask),
        spec.locale,
        messenger=messenger_of(settings),
        leaving=lambda pack: leaving(pack, may_leave),
        page=lambda: options.page_facts().incidents,
        watched=teams,
    )
    questions = Questions(investigation, Known(watched=teams), deadline, prometheus=prometheus)
    if spec.investigate is None:
        return Incidents(store, questions)

    def held() -> Holders | None:
        known = acknowledgements.known if acknowledgements is not None else None
        return None if known is None else [(each.incident.labels, each.by) for each in known]

    runner = Runner(store, investigation, timedelta(seconds=deadline), options.instance, held)
    desk = Desk(store, settings, spec.locale, masked, wake=runner.wake, watched=teams)
    return Incidents(store, replace(questions, desk=desk), desk, runner)
