"""The parts of an instance that have to do with incidents, put together, and what it reads: Prometheus, logs
that it can reach, and what the scheduler left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from techsapo_ops.adapters.jsons import load
from techsapo_ops.adapters.process import SubprocessRunner
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.catalogue.translations import in_language
from techsapo_ops.errors import OpsError
from techsapo_ops.incidents.bundle import MATERIAL_BYTES, material_of
from techsapo_ops.incidents.evidence import PACK_BYTES
from techsapo_ops.incidents.gather import Reader, gather, worded
from techsapo_ops.incidents.knowledge import OwnKnowledge, search
from techsapo_ops.incidents.material import Material, Subject
from techsapo_ops.incidents.pack import leaving, pack_of
from techsapo_ops.incidents.readers.files import open_log
from techsapo_ops.incidents.readers.prometheus import PrometheusSeries
from techsapo_ops.incidents.readers.runbook import OwnRunbooks
from techsapo_ops.incidents.readers.services import may_leave, service_readers, watched
from techsapo_ops.incidents.subject import Known
from techsapo_ops.masking.masker import Masker, mask
from techsapo_ops.messages import msg
from techsapo_ops.serve.answers.audit_trail import AuditTrail
from techsapo_ops.serve.answers.spending import Spending
from techsapo_ops.serve.bodies.monitoring import EventMarkBody
from techsapo_ops.serve.incidents.asking import Questions
from techsapo_ops.serve.incidents.desk import Desk
from techsapo_ops.serve.incidents.investigation import Investigation, Purse
from techsapo_ops.serve.incidents.panel import Panel
from techsapo_ops.serve.incidents.runner import Holders, Runner
from techsapo_ops.serve.incidents.sending import messenger_of
from techsapo_ops.serve.options import Options
from techsapo_ops.serve.pages.acknowledgements import Acknowledgements
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.spec.models.investigate import Investigate
from techsapo_ops.stores.audit.database import audit_server
from techsapo_ops.stores.audit.shared_tables import Away
from techsapo_ops.stores.incidents.store import IncidentStore
from techsapo_ops.wallbounce.orchestrator import WallBounce

OLD = timedelta(minutes=15)
"""How old what the scheduler left may be: it comes each minute on one host, and on several hosts after every
other job, through the engine."""
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
        since, until = datetime.fromtimestamp(begin, UTC), datetime.fromtimestamp(end, UTC)
        try:
            events = self.store.events(since, until, MOST_MARKS)
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
    server = audit_server(spec.mysql, options.audit_members)
    store = IncidentStore(server, options.data / "audit.sqlite")
    teams = watched(settings.services)
    sent = partial(leaving, may_leave=may_leave(settings.services))
    deadline = seconds(settings.deadline)
    daily = settings.budget_share * spec.budget.resolved_daily_usd
    masked, say = partial(mask, level=options.mask), partial(in_language, language=spec.locale)
    readers = readers_of(options, settings, prometheus)
    investigation = Investigation(
        store,
        lambda subject, start, end: worded(gather(subject, start, end, readers), say),
        lambda material: pack_of(material, PACK_BYTES, masked, spec.locale),
        Panel(wallbounce, "basic"),
        Purse(*money, daily, deadline),
        partial(Masker, options.mask),
        spec.locale,
        messenger=messenger_of(settings),
        leaving=sent,
        page=lambda: options.page_facts().incidents,
        watched=teams,
    )
    # Who waits for an answer waits no longer than for any other: nginx and the commands give up by then.
    patience = min(deadline, seconds(options.spec.app.limits.request_timeout))
    questions = Questions(investigation, Known(watched=teams), patience, prometheus=prometheus)
    if spec.investigate is None:
        return Incidents(store, questions)

    def held() -> Holders | None:
        known = acknowledgements.known if acknowledgements is not None else None
        return None if known is None else [(each.episode.labels, each.by) for each in known]

    runner = Runner(store, investigation, timedelta(seconds=deadline), options.instance, held)
    desk = Desk(store, settings, spec.locale, masked, wake=runner.wake, watched=teams, leaving=sent)
    return Incidents(store, replace(questions, desk=desk), desk, runner)


@dataclass(frozen=True, slots=True)
class LeftByScheduler:
    """The own stack as the scheduler saw it: applies, jobs, restarts, logs, health."""

    file: Path

    def __call__(self, subject: Subject, start: datetime, end: datetime) -> Material:
        """What is in the file: lines of the window, and all changes, whose effects may take hours to show.

        Raises OpsError where there is no such file, or an old one.
        """
        try:
            with open_log(self.file) as file:
                left = material_of(load(file.read(2 * MATERIAL_BYTES)))
        except (OSError, ValueError) as error:
            raise OpsError(msg("the scheduler's file can't be read: {error}", error=error)) from None
        if left.end < end - OLD:
            raise OpsError(msg("the scheduler has written nothing since {time:%H:%M} UTC", time=left.end))
        return replace(
            left,
            subject=subject,
            lines=tuple(line for line in left.lines if start <= line.at <= end),
            changes=tuple(change for change in left.changes if change.at <= end),
        )


def readers_of(
    options: Options, settings: Investigate, prometheus: Prometheus | None
) -> Mapping[str, Reader]:
    """A reader for each source of this instance, by the source's name in the stack's language."""
    language = options.spec.locale
    readers: dict[str, Reader] = {msg("runbook"): OwnRunbooks(language, len(options.audit_members))}
    if prometheus is not None:
        readers["Prometheus"] = PrometheusSeries(prometheus, watched(settings.services))
    if options.evidence is not None:
        readers[msg("the stack itself")] = LeftByScheduler(options.evidence)
    if options.knowledge is not None:
        readers[msg("own pages")] = OwnKnowledge(partial(search, options.knowledge))
    readers |= dict(service_readers(settings.services, Path("/"), SubprocessRunner()))
    return {in_language(name, language): reader for name, reader in readers.items()}
