"""What an investigation is made from: what was read of the world, before any of it is weighed.

A bundle is this on disk (`bundle.py`), a live stack is this through its readers, and what the app's container
can't see comes to it as this. So one function makes the pack of all three (`pack.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from techsapo_ops.adapters.prometheus import Series

Kind = Literal["metrics", "logs", "changes", "host", "runbook", "knowledge", "like"]
LETTERS: Mapping[Kind, str] = {
    "metrics": "M", "logs": "L", "changes": "C", "host": "H", "runbook": "R", "knowledge": "K", "like": "I",
}  # fmt: skip
"""What the id of a piece of evidence begins with."""
ChangeKind = Literal["apply", "drift", "job", "certificate", "restart", "oom", "event"]
Level = Literal["error", "warning", ""]
BEFORE = timedelta(minutes=30)
"""How long before the beginning of an alert is looked at, if nobody says otherwise."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is investigated: an alert, or a question in words. Times are aware.

    `alert` is empty for a question. `services` and `hosts` are those that it names, by their labels.
    """

    began: datetime
    alert: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    expression: str = ""
    summary: str = ""
    question: str = ""
    services: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    ended: datetime | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a log, a warning or worse where the log says so."""

    at: datetime
    text: str
    service: str = ""
    host: str = ""
    level: Level = ""


@dataclass(frozen=True, slots=True)
class Change:
    """Something that somebody or something did: an apply with its diff, a job's run, an event, a restart."""

    at: datetime
    kind: ChangeKind
    text: str
    detail: str = ""
    service: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact about a host or a service as it is now. `ok` is None where it is neither good nor bad."""

    name: str
    value: str
    ok: bool | None = None
    service: str = ""
    host: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a page that was written beforehand: a runbook, or the team's own knowledge."""

    kind: Literal["runbook", "knowledge"]
    file: str
    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class Earlier:
    """An incident like this one that ended: what it was about, and the cause that a person named."""

    id: str
    at: datetime
    summary: str
    cause: str


@dataclass(frozen=True, slots=True)
class Unread:
    """A source that could not be read, and why."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class Material:
    """All that was read about `subject` from `start` to `end`. `read` names the sources that answered."""

    subject: Subject
    start: datetime
    end: datetime
    series: tuple[Series, ...] = ()
    lines: tuple[Line, ...] = ()
    changes: tuple[Change, ...] = ()
    facts: tuple[Fact, ...] = ()
    pages: tuple[Page, ...] = ()
    earlier: tuple[Earlier, ...] = ()
    read: tuple[str, ...] = ()
    unread: tuple[Unread, ...] = ()

    def joined(self, other: Material) -> Material:
        """This, with what another reader read about the same subject."""
        return replace(
            self,
            series=self.series + other.series,
            lines=self.lines + other.lines,
            changes=self.changes + other.changes,
            facts=self.facts + other.facts,
            pages=self.pages + other.pages,
            earlier=self.earlier + other.earlier,
            read=self.read + other.read,
            unread=self.unread + other.unread,
        )
