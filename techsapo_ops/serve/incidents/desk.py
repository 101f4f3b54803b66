"""What requests do to incidents: alerts and events come in, people strike causes out and end them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.catalogue.checks import checks
from techsapo_ops.catalogue.translations import Language
from techsapo_ops.incidents.alert import Listener, ReportedAlert, one_line
from techsapo_ops.incidents.evidence import Pack
from techsapo_ops.incidents.incident import updated
from techsapo_ops.incidents.labels import Watched
from techsapo_ops.incidents.verdict import Struck
from techsapo_ops.messages import msg
from techsapo_ops.serve.bodies.incidents import (
    AcceptedAlertsBody,
    AlertsBody,
    EntryBody,
    EventBody,
    IncidentAlertBody,
    IncidentBody,
    PostedAlert,
    StoredEventBody,
    WebhookAlert,
    WebhookBody,
    WholeIncidentBody,
)
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.serve.incidents.story import Mask, Story, text_of
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.spec.models.investigate import Investigate
from techsapo_ops.stores.incidents.rows import (
    MOST_ENTRIES,
    PLAIN,
    Change,
    Entry,
    EntryKind,
    Event,
    Incident,
    State,
)
from techsapo_ops.stores.incidents.store import IncidentStore, incidents_table, of_alert, related_to

log = structlog.get_logger()

LONGEST_AGO = timedelta(days=30)
"""How old an event may be that somebody records."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Takes what comes in for `store`, and calls `wake` where there is something to investigate.

    Its methods but `now` block, and raise Away where the database can't be reached.
    """

    store: IncidentStore
    settings: Investigate
    language: Language
    mask: Mask
    wake: Callable[[], None] = lambda: None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    watched: Watched = field(default_factory=dict)
    leaving: Callable[[Pack], Pack] = lambda pack: pack
    """What of the evidence may be sent to providers."""

    def report(self, body: AlertsBody) -> AcceptedAlertsBody:
        """Let alerts open, change and end incidents, as far as there is room."""
        now, given = self.now(), body.root
        posted: Sequence[PostedAlert] = given.alerts if isinstance(given, WebhookBody) else given
        group, truncated = (given.group, given.truncated) if isinstance(given, WebhookBody) else ("", 0)
        listener = Listener(self.watched, group)
        alerts = [alert for each in posted if (alert := _reported(each, listener, now)).counts]
        cooldown = timedelta(seconds=seconds(self.settings.cooldown))
        read = related_to((alert.fingerprint for alert in alerts), now - cooldown)
        every = self.settings.start == "all"

        left_out = 0

        def decide(state: State) -> Sequence[Change]:
            nonlocal left_out
            changes, left_out = updated(state, alerts, now, cooldown, lambda a: every or a.pages, truncated)
            return changes

        changes = self.store.change(read, decide) if alerts else ()
        if left_out:
            log.warning("Alerts are in no incident: there is no room", alerts=left_out)
        if any(change.incident.investigation == "due" for change in changes):
            self.wake()
        numbers = sorted(change.incident.number for change in changes)
        return AcceptedAlertsBody(
            alerts=len(alerts), ignored=len(posted) - len(alerts), left_out=left_out, incidents=numbers
        )

    def note(self, body: EventBody, author: str) -> StoredEventBody:
        """Keep an event. Raises Problem for one that is older than LONGEST_AGO, or is still to come."""
        now = self.now()
        time = now if body.time is None else body.time
        if not now - LONGEST_AGO <= time <= now + timedelta(minutes=1):
            raise Problem(422, "invalid_request", msg("time must be within the last 30 days"))
        service, host = (one_line(each, 500) for each in (body.service, body.host))
        event = Event(uuid.uuid4().hex, time.astimezone(UTC), now, _said(body.text), service, host, author)
        self.store.add_event(event)
        return StoredEventBody.model_validate({**_shown(event), "by": author})

    def resolve(self, number: int, cause: str, author: str) -> WholeIncidentBody:
        """End an incident, with the cause that a person found."""
        cause = _said(cause)

        def decide(incident: Incident) -> Change:
            ended = incident.ended or self.now()
            investigation = incident.investigation if incident.investigation == "running" else "done"
            after = replace(incident, cause=cause, ended=ended, investigation=investigation)
            return Change(after, entries=(Entry(self.now(), "resolved", cause, author),))

        return self._altered(number, decide)

    def strike(self, number: int, place: int, reason: str, author: str) -> WholeIncidentBody:
        """Strike the cause at `place` of the verdict out, and draw the verdict anew."""

        def drawn(story: Story) -> Iterator[Entry]:
            causes = story.drawn.verdict.causes if story.drawn is not None else ()
            if place > len(causes):
                raise Problem(422, "invalid_request", msg("the verdict has no cause {place}", place=place))
            cause, why = causes[place - 1], _said(reason)
            struck = Struck(cause.cause, cause.service, cause.evidence, why)
            yield self._detailed("struck", {"cause": cause.cause, "reason": why}, author)
            yield Entry(self.now(), "verdict", text_of(story.struck(struck, self.language)))

        return self._redrawn(number, drawn)

    def check(self, number: int, check: str, output: str, author: str) -> WholeIncidentBody:
        """Add what a check printed to the evidence, and draw the verdict anew."""

        def drawn(story: Story) -> Iterator[Entry]:
            if check and check not in checks():
                raise Problem(422, "invalid_request", msg("there is no check {check}", check=repr(check)))
            pack, verdict = story.checked(check, output, self.now(), self.language, self.mask)
            yield self._detailed("checked", {"check": check, "output": self.mask(harmless(output))}, author)
            yield Entry(self.now(), "evidence", text_of(pack))
            yield Entry(self.now(), "verdict", text_of(verdict))

        return self._redrawn(number, drawn)

    def listed(self, state: str, limit: int, alert: str = "") -> list[IncidentBody]:
        """Incidents that are open, ended, or all of them, of one alert or any, the newest first."""
        ended = incidents_table().c.ended
        wanted = {"open": (ended.is_(None),), "ended": (ended.is_not(None),)}.get(state, ())
        if alert:
            wanted = (*wanted, of_alert(alert))
        return [_incident_body(each) for each in self.store.incidents(*wanted, limit=limit)]

    def incident(self, number: int) -> Incident:
        """The incident of that number. Raises Problem where there is none."""
        incident = self.store.incident(number)
        if incident is None:
            raise unknown(number)
        return incident

    def whole(self, number: int, *, leaving: bool = False) -> WholeIncidentBody:
        """An incident with its alerts and its time line, of whose evidence there is only what may be sent to
        providers if `leaving`. Raises Problem where there is none.
        """
        incident = self.incident(number)
        members, timeline = self.store.alerts(number), self.store.entries(number)
        if leaving:
            timeline = tuple(self._sent(entry) for entry in timeline)
        return WholeIncidentBody(
            **_incident_body(incident).document(),
            members=[IncidentAlertBody.model_validate(_shown(each)) for each in members],
            timeline=[_entry_body(each) for each in timeline],
        )

    def _altered(self, number: int, decide: Callable[[Incident], Change]) -> WholeIncidentBody:
        if self.store.alter(number, decide) is None:
            raise unknown(number)
        return self.whole(number)

    def _redrawn(self, number: int, drawn: Callable[[Story], Iterator[Entry]]) -> WholeIncidentBody:
        """Add what `drawn` makes of the story; where no cause is left, the panel is asked again."""

        def decide(incident: Incident) -> Change:
            if incident.investigation == "running" or story.drawn is None or story.pack is None:
                raise Problem(409, "conflict", msg("there is no verdict on this incident yet"))
            if incident.entries != story.last:
                raise Problem(409, "conflict", msg("somebody else changed this incident; try again"))
            if incident.entries >= MOST_ENTRIES:
                raise Problem(409, "conflict", msg("the time line of this incident is full"))
            entries = tuple(drawn(story))
            due = Story.of((*timeline, *entries)).open
            after = replace(incident, investigation="due", investigated=None) if due else incident
            return Change(after, entries=entries)

        timeline = self.store.entries(number)
        story = Story.of(timeline)
        body = self._altered(number, decide)
        if body.investigation == "due":
            self.wake()
        return body

    def _sent(self, entry: Entry) -> Entry:
        if entry.kind != "evidence":
            return entry
        pack = Story.of((entry,)).pack
        return replace(entry, text="" if pack is None else text_of(self.leaving(pack)))

    def _detailed(self, kind: EntryKind, detail: Mapping[str, str], author: str) -> Entry:
        return Entry(self.now(), kind, json.dumps(detail, ensure_ascii=False), author)


def _said(text: str) -> str:
    """What a person says, on one line. Raises Problem where that is nothing."""
    said = one_line(text, 500)
    if not said:
        raise Problem(422, "invalid_request", msg("the text is empty"))
    return said


def _incident_body(incident: Incident) -> IncidentBody:
    about = sorted(each for each in incident.subjects if not each.startswith("group:"))
    by = incident.holders.split(", ") if incident.holders else []
    return IncidentBody.model_validate({**_shown(incident), "about": about, "acknowledged_by": by})


def _reported(alert: PostedAlert, listener: Listener, now: datetime) -> ReportedAlert:
    """An alert as it was reported. What Alertmanager says of the end of one that fires is the year 1."""
    ended = alert.ends if alert.ends is not None and alert.ends.year > 1 else None
    if isinstance(alert, WebhookAlert):
        ended = (ended or now) if alert.status == "resolved" else None
    elif ended is not None and ended > now:
        ended = None
    began = min(alert.starts or now, ended or now, now)
    return listener.reported(alert.labels, alert.annotations, began, ended, alert.source)


def _entry_body(entry: Entry) -> EntryBody:
    try:
        detail = None if entry.kind in PLAIN else json.loads(entry.text)
    except ValueError:  # it was cut
        detail = None
    text = entry.text if detail is None else ""
    return EntryBody.model_validate({**_shown(entry), "by": entry.author, "text": text, "detail": detail})


def _shown(row: Any) -> dict[str, Any]:
    """The fields of a row, times as text."""
    values = {name: getattr(row, name) for name in row.__dataclass_fields__}
    return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in values.items()}


def unknown(number: object) -> Problem:
    """That there is no such incident."""
    return Problem(404, "not_found", msg("there is no incident {number}", number=number))
