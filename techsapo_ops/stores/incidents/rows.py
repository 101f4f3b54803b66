"""What is kept of incidents, as values, and the bounds of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

MOST_OPEN = 500
"""Incidents that are open at once; alerts that would open another are left out until they are sent again."""
MOST_ALERTS = 1000
"""Alerts of one incident; further ones are left out: nobody would know which of them were counted."""
MOST_ENTRIES = 500
"""Entries of a time line from which on it takes none that people or alerts could add without an end."""
LONGEST_TEXT = 400_000
"""Characters of an entry: evidence is the longest."""
COLUMN = {
    "title": 300, "name": 200, "summary": 1000, "expression": 8000, "cause": 500, "holders": 500,
    "author": 64, "text": 500, "service": 64, "host": 64,
}  # fmt: skip
"""Characters that a column takes."""

Investigation = Literal["", "due", "running", "done"]
EntryKind = Literal[
    "opened", "joined", "ended", "returned", "acknowledged", "investigating", "evidence", "verdict",
    "stopped", "message", "struck", "checked", "resolved", "closed",
]  # fmt: skip
"""What a time line tells: an incident opened, alerts joined, ended or returned, somebody has it; an
investigation by an instance, its evidence, its verdict or why there is none, a message's way; a cause that a
person struck out, what a check printed, the cause that a person named; the end.
"""
PLAIN: frozenset[EntryKind] = frozenset({"acknowledged", "investigating", "stopped", "resolved", "closed"})
"""Entries of words, which people may have written. Those of the others are JSON."""
ENDLESS: frozenset[EntryKind] = frozenset({"joined", "ended", "returned", "struck", "checked"})
"""Entries that come as often as somebody sends them."""


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident. Times are UTC.

    `subjects` are what its alerts are about, `alerts` how many joined it and `firing` how many of these still
    fire; `quiet` is when the last one ended, `ended` when the incident did. `cause` is what a person named,
    `holders` who has it.
    `worker` investigates it until `lease`; `investigated` is when that began. `version` goes up with each
    change, `entries` with each entry of the time line.
    """

    number: int
    began: datetime
    title: str
    pages: bool
    subjects: frozenset[str]
    version: int = 0
    alerts: int = 0
    firing: int = 0
    quiet: datetime | None = None
    ended: datetime | None = None
    cause: str | None = None
    holders: str = ""
    entries: int = 0
    investigation: Investigation = ""
    investigated: datetime | None = None
    worker: str | None = None
    lease: datetime | None = None


@dataclass(frozen=True, slots=True)
class IncidentAlert:
    """An alert of an incident: it fired last from `began` to `ended`, None while it does.
    `reported` is when it last came.
    """

    incident: int
    fingerprint: str
    name: str
    labels: Mapping[str, str]
    summary: str
    expression: str
    pages: bool
    began: datetime
    reported: datetime
    ended: datetime | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a time line. The store gives it its `number`."""

    time: datetime
    kind: EntryKind
    text: str = ""
    author: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """Something that somebody says to have done at `time`, such as a deploy."""

    id: str
    time: datetime
    recorded: datetime
    text: str
    service: str = ""
    host: str = ""
    author: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """What a decision rests on: incidents, alerts of them, and the highest number that one has."""

    incidents: tuple[Incident, ...] = ()
    alerts: tuple[IncidentAlert, ...] = ()
    last: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """An incident as it is to be, with those of its alerts that changed or are new to it, and new entries."""

    incident: Incident
    alerts: tuple[IncidentAlert, ...] = ()
    entries: tuple[Entry, ...] = ()
