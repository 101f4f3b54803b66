"""What requests do to incidents: alerts and events come in, people strike causes out and end them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.incidents.alert import Heard, Listener, one_line
from techsapo_ops.incidents.incident import updated
from techsapo_ops.messages import msg
from techsapo_ops.serve.bodies.incidents import (
    AlertsBody,
    EntryBody,
    EventBody,
    HeardBody,
    IncidentAlertBody,
    IncidentBody,
    KeptEventBody,
    PostedAlert,
    WebhookAlert,
    WebhookBody,
    WholeIncidentBody,
)
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.spec.models.investigate import Investigate
from techsapo_ops.stores.incidents.rows import MOST_ENTRIES, Change, Entry, EntryKind, Event, Incident
from techsapo_ops.stores.incidents.store import IncidentStore, heard_of, incidents_table

Held = Callable[[], Iterable[tuple[Mapping[str, str], str]]]
"""The labels of alerts that somebody has, and the name of who has it."""
LONGEST_AGO = timedelta(days=30)
"""How old an event may be that somebody tells of."""
_LAST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Desk:
    """Takes what comes in for `store`, and calls `wake` where there is something to investigate.

    Its methods but `now` block, and raise Away where the database can't be reached.
    """

    store: IncidentStore
    settings: Investigate
    wake: Callable[[], None] = lambda: None
    held: Held = lambda: ()
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    watched: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def hear(self, body: AlertsBody) -> HeardBody:
        """Let alerts open, change and end incidents. Raises TooMany."""
        now, told = self.now(), body.root
        posted: Sequence[PostedAlert] = told.alerts if isinstance(told, WebhookBody) else told
        group, truncated = (told.group, told.truncated) if isinstance(told, WebhookBody) else ("", 0)
        listener = Listener(self.watched, group)
        alerts = [alert for each in posted if (alert := _heard(each, listener, now)).counts]
        cooldown = timedelta(seconds=seconds(self.settings.cooldown))
        read = heard_of((alert.fingerprint for alert in alerts), now - cooldown)
        every = self.settings.start == "all"

        def decide(state: Any) -> Sequence[Change]:
            return updated(state, alerts, now, cooldown, lambda a: every or a.pages, truncated)

        changes = self.store.change(read, decide) if alerts else ()
        if any(change.incident.investigation == "due" for change in changes):
            self.wake()
        numbers = sorted(change.incident.number for change in changes)
        return HeardBody(alerts=len(alerts), ignored=len(posted) - len(alerts), incidents=numbers)

    def note(self, body: EventBody, author: str) -> KeptEventBody:
        """Keep an event. Raises Problem for one that is older than LONGEST_AGO, or is still to come."""
        now = self.now()
        time = now if body.time is None else body.time
        if not now - LONGEST_AGO <= time <= now + timedelta(minutes=1):
            raise Problem(422, "invalid_request", msg("time must be within the last 30 days"))
        text, service, host = (one_line(each, 500) for each in (body.text, body.service, body.host))
        if not text:
            raise Problem(422, "invalid_request", msg("the text is empty"))
        event = Event(uuid.uuid4().hex, time.astimezone(UTC), now, text, service, host, author)
        self.store.add_event(event)
        return event_body(event)

    def resolve(self, number: int, cause: str, author: str) -> WholeIncidentBody:
        """End an incident, with the cause that a person found."""
        cause = one_line(cause, 500)

        def decide(incident: Incident) -> Change:
            ended = incident.ended or self.now()
            investigation = incident.investigation if incident.investigation == "running" else "done"
            after = replace(incident, cause=cause, ended=ended, investigation=investigation)
            return Change(after, entries=(Entry(self.now(), "resolved", cause, author),))

        return self._altered(number, decide)

    def add(self, number: int, kind: EntryKind, detail: Mapping[str, str], author: str) -> WholeIncidentBody:
        """Note what a person struck out, or what a check printed, and let the verdict be drawn anew."""
        text = json.dumps({name: harmless(said) for name, said in detail.items()}, ensure_ascii=False)

        def decide(incident: Incident) -> Change:
            if incident.entries >= MOST_ENTRIES:
                raise Problem(409, "invalid_request", msg("the time line of this incident is full"))
            running = incident.investigation == "running"
            after = incident if running else replace(incident, investigation="due", investigated=None)
            return Change(after, entries=(Entry(self.now(), kind, text, author),))

        body = self._altered(number, decide)
        self.wake()
        return body

    def listed(self, state: str, limit: int) -> list[IncidentBody]:
        """Incidents that are open, ended, or all of them, the newest first."""
        ended = incidents_table().c.ended
        wanted = {"open": (ended.is_(None),), "ended": (ended.is_not(None),)}.get(state, ())
        return [self._body(each) for each in self.store.incidents(*wanted, limit=limit)]

    def whole(self, number: int) -> WholeIncidentBody:
        """An incident with its alerts and its time line. Raises Problem where there is none."""
        incident = self.store.incident(number) if number <= _LAST else None
        if incident is None:
            raise _unknown(number)
        members, timeline = self.store.alerts(number), self.store.entries(number)
        by = [who for labels, who in self.held() if any(labels.items() <= a.labels.items() for a in members)]
        return WholeIncidentBody(
            **self._body(incident, by).document(),
            members=[IncidentAlertBody.model_validate(_shown(each)) for each in members],
            timeline=[_entry_body(each) for each in timeline],
        )

    def _altered(self, number: int, decide: Callable[[Incident], Change]) -> WholeIncidentBody:
        if number > _LAST or self.store.alter(number, decide) is None:
            raise _unknown(number)
        return self.whole(number)

    def _body(self, incident: Incident, by: Iterable[str] = ()) -> IncidentBody:
        about = sorted(each for each in incident.subjects if not each.startswith("group:"))
        return IncidentBody.model_validate(
            {**_shown(incident), "about": about, "acknowledged_by": sorted(set(by))}
        )


def _heard(alert: PostedAlert, listener: Listener, now: datetime) -> Heard:
    """An alert as it was told of. What Alertmanager says of the end of one that fires is the year 1."""
    ended = alert.ends if alert.ends is not None and alert.ends.year > 1 else None
    if isinstance(alert, WebhookAlert):
        ended = (ended or now) if alert.status == "resolved" else None
    elif ended is not None and ended > now:
        ended = None
    began = min(alert.starts or now, ended or now, now)
    return listener.heard(alert.labels, alert.annotations, began, ended, alert.source)


def event_body(event: Event) -> KeptEventBody:
    """An event as the API shows it."""
    return KeptEventBody.model_validate({**_shown(event), "by": event.author})


def _entry_body(entry: Entry) -> EntryBody:
    try:
        detail = json.loads(entry.text) if entry.text.startswith("{") else None
    except ValueError:  # it was cut
        detail = None
    text = entry.text if detail is None else ""
    return EntryBody.model_validate({**_shown(entry), "by": entry.author, "text": text, "detail": detail})


def _shown(row: Any) -> dict[str, Any]:
    """The fields of a row, times as text."""
    values = {name: getattr(row, name) for name in row.__dataclass_fields__}
    return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in values.items()}


def _unknown(number: int) -> Problem:
    return Problem(404, "not_found", msg("there is no incident {number}", number=number))
