"""What alerts make of incidents: opened, joined, ended, found again. Pure; the store carries it out.

Alerts that begin within NEAR and share a service or a host, or come in one group of Alertmanager, are one
incident. It ends when its last alert has been over for GAP, as what fires does for acknowledgements (the
group `episodes` of catalogue/rules.yaml). An alert that returns within the cooldown opens it again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from techsapo_ops.incidents.alert import ReportedAlert
from techsapo_ops.incidents.labels import Watched, hosts_of, services_of
from techsapo_ops.incidents.material import Earlier, Subject
from techsapo_ops.stores.incidents.rows import (
    MOST_ALERTS,
    MOST_OPEN,
    Change,
    Entry,
    EntryKind,
    Incident,
    IncidentAlert,
    State,
)

NEAR = timedelta(minutes=5)
GAP = timedelta(minutes=10)
SILENT = timedelta(days=1)
"""An alert that nobody reported for so long is over: Alertmanager repeats what fires every 4 hours, if nobody
says otherwise."""
_MOST_SUBJECTS = 200
_MOST_NAMES = 20
"""Names of alerts in an entry of a time line."""


def updated(
    state: State,
    alerts: Sequence[ReportedAlert],
    now: datetime,
    cooldown: timedelta,
    start: Callable[[ReportedAlert], bool],
    truncated: int = 0,
) -> tuple[tuple[Change, ...], int]:
    """What `alerts` change, and how many there was no room for: in an incident, or as one more.

    `start` says which of them start an investigation by themselves. Nothing comes of the end of an unknown
    alert, nor of what was reported before. The message left `truncated` further alerts out, of which nothing
    else is known.
    """
    decision = _Decision(state, now, cooldown, start)
    for each in sorted(alerts, key=lambda alert: (alert.began, alert.fingerprint)):
        if each.counts:
            decision.take(each)
    return decision.changes(truncated), decision.left_out.total()


@dataclass(slots=True)
class _Touched:
    """What becomes of one incident: its alerts that change, and the names of those of each entry."""

    alerts: dict[str, IncidentAlert] = field(default_factory=dict)
    said: dict[EntryKind, Counter[str]] = field(default_factory=dict)


class _Decision:
    def __init__(
        self, state: State, now: datetime, cooldown: timedelta, start: Callable[[ReportedAlert], bool]
    ) -> None:
        self._now, self._cooldown, self._start, self._last = now, cooldown, start, state.last
        self._incidents = {i.number: i for i in sorted(state.incidents, key=lambda i: i.number)}
        self._rows = {a.fingerprint: a for a in sorted(state.alerts, key=lambda a: (a.began, a.incident))}
        self._touched: dict[int, _Touched] = {}
        self.left_out = Counter[int]()
        """Alerts that there was no room for, by incident; by 0 those that would have opened one."""

    def take(self, alert: ReportedAlert) -> None:
        """Let an alert change what it belongs to."""
        row = self._rows.get(alert.fingerprint)
        if row is not None and row.ended is None:
            if alert.ended is None:
                self._put(replace(row, reported=self._now), alert)
            elif alert.ended >= row.began:  # else it was overtaken by its next time
                self._end(row, min(alert.ended, self._now), alert)
        elif alert.ended is None and (row is None or row.ended is None or alert.began >= row.ended):
            self._fire(alert, row)

    def changes(self, truncated: int) -> tuple[Change, ...]:
        """What changes, by incident."""
        return tuple(
            Change(
                self._incidents[number],
                tuple(touched.alerts.values()),
                tuple(
                    Entry(self._now, kind, _names(names, truncated + self.left_out[number]))
                    for kind, names in touched.said.items()
                ),
            )
            for number, touched in self._touched.items()
        )

    def _end(self, row: IncidentAlert, ended: datetime, alert: ReportedAlert) -> None:
        incident = self._incidents[row.incident]
        quiet = max(ended, incident.quiet or ended)
        self._incidents[row.incident] = replace(incident, firing=incident.firing - 1, quiet=quiet)
        self._put(replace(row, reported=self._now, ended=ended), alert, "ended")

    def _fire(self, alert: ReportedAlert, row: IncidentAlert | None) -> None:
        """An alert that did not fire by now fires: in its incident of before, another one, or a new one."""
        incident = self._incidents[row.incident] if row is not None else None
        if incident is not None and incident.ended is not None:
            incident = incident if self._now <= incident.ended + self._cooldown else None
        if incident is not None and row is not None:
            kind: EntryKind | None = "joined" if alert.began - (row.ended or alert.began) >= GAP else None
            kind = "returned" if incident.ended is not None else kind
            self._incidents[row.incident] = replace(incident, ended=None, firing=incident.firing + 1)
            self._put(replace(row, began=alert.began, reported=self._now, ended=None), alert, kind)
            return
        opened = self._fitting(alert)
        if opened is None and sum(i.ended is None for i in self._incidents.values()) >= MOST_OPEN:
            self.left_out[0] += 1
            return
        incident, kind = (opened, "joined") if opened is not None else (self._opened(alert), "opened")
        stored, room = incident.alerts < MOST_ALERTS, len(incident.subjects) < _MOST_SUBJECTS
        self.left_out[incident.number] += not stored
        self._incidents[incident.number] = replace(
            incident,
            began=min(incident.began, alert.began),
            subjects=incident.subjects | (alert.subjects if room else frozenset()),
            alerts=incident.alerts + stored,
            firing=incident.firing + stored,
        )
        known = (alert.name, alert.labels, alert.summary, alert.expression, alert.pages)
        row = IncidentAlert(incident.number, alert.fingerprint, *known, alert.began, self._now)
        self._put(row, alert, kind if stored else None, stored=stored)

    def _fitting(self, alert: ReportedAlert) -> Incident | None:
        """The oldest open incident that `alert` belongs to."""
        for incident in self._incidents.values():
            near = incident.ended is None and abs(alert.began - incident.began) <= NEAR
            if near and not incident.subjects.isdisjoint(alert.subjects):
                return incident
        return None

    def _opened(self, alert: ReportedAlert) -> Incident:
        self._last += 1
        title = alert.summary or alert.name
        return Incident(self._last, alert.began, title, alert.pages, alert.subjects)

    def _put(
        self, row: IncidentAlert, alert: ReportedAlert, kind: EntryKind | None = None, *, stored: bool = True
    ) -> None:
        """Note what becomes of an alert. It starts an investigation unless its incident had one."""
        touched = self._touched.setdefault(row.incident, _Touched())
        if stored:
            self._rows[row.fingerprint] = touched.alerts[row.fingerprint] = row
        if kind is not None:
            touched.said.setdefault(kind, Counter())[row.name] += 1
        incident = self._incidents[row.incident]
        fires = row.ended is None and incident.ended is None
        starts = fires and not incident.investigation and self._start(alert)
        investigation = "due" if starts else incident.investigation
        pages = incident.pages or alert.pages
        self._incidents[row.incident] = replace(incident, pages=pages, investigation=investigation)


def _names(names: Counter[str], truncated: int) -> str:
    """Names and how often each is there, as JSON; of many the most frequent."""
    counts = {"count": names.total(), "alerts": dict(names.most_common(_MOST_NAMES))}
    return json.dumps({**counts, "truncated": truncated} if truncated else counts, ensure_ascii=False)


def over(state: State, now: datetime) -> tuple[Change, ...]:
    """The open incidents that end now, and alerts of them that nobody reports any more."""
    changes = []
    for incident in state.incidents:
        silent = [a for a in state.alerts if a.incident == incident.number and a.reported + SILENT <= now]
        rows = tuple(replace(alert, ended=alert.reported) for alert in silent)
        quiet = max((a.reported for a in silent), default=incident.quiet)
        changed = replace(incident, firing=incident.firing - len(rows), quiet=quiet)
        if changed.firing <= 0 and quiet is not None and quiet + GAP <= now:
            changes.append(Change(replace(changed, ended=quiet), rows, (Entry(now, "closed"),)))
        elif rows:
            changes.append(Change(changed, rows))
    return tuple(changes)


def subject_of(incident: Incident, alerts: Sequence[IncidentAlert], watched: Watched) -> Subject:
    """What an investigation of an incident is about: its first alert that pages, else its first one."""
    first = min(alerts, key=lambda alert: (not alert.pages, alert.began), default=None)
    if first is None:
        return Subject(incident.began, summary=incident.title)
    return Subject(
        incident.began,
        first.name,
        first.labels,
        first.expression,
        first.summary or incident.title,
        services=frozenset().union(*(services_of(alert.labels, watched) for alert in alerts)),
        hosts=frozenset().union(*(hosts_of(alert.labels) for alert in alerts)),
        ended=incident.ended,
    )


def earlier(incident: Incident, resolved: Iterable[Incident], most: int = 5) -> tuple[Earlier, ...]:
    """Incidents like this one whose cause a person named, the most alike and newest first."""

    def alike(other: Incident) -> int:
        return len(other.subjects & incident.subjects) + 2 * (other.title == incident.title)

    others = [o for o in resolved if o.number != incident.number and o.cause and alike(o)]
    others.sort(key=lambda other: (-alike(other), -other.began.timestamp()))
    return tuple(Earlier(str(o.number), o.began, o.title, o.cause or "") for o in others[:most])
