"""What an investigation is made from: what was read of the world, before any of it is weighed.

A bundle is this on disk (`bundle.py`), a live stack is this through its readers, and what the app's container
can't see comes to it as this. So one function makes the pack of all three (`pack.py`).

The types say what each field may be in JSON, where its alias is its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer

from techsapo_ops.adapters.prometheus import Series
from techsapo_ops.incidents import openmetrics
from techsapo_ops.incidents.field_types import Label, PageText, Sentence, Text, Time, few

Kind = Literal["metrics", "logs", "changes", "host", "runbook", "knowledge", "like"]
LETTERS: Mapping[Kind, str] = {
    "metrics": "M", "logs": "L", "changes": "C", "host": "H", "runbook": "R", "knowledge": "K", "like": "I",
}  # fmt: skip
"""What the id of a piece of evidence begins with."""
ChangeKind = Literal["apply", "drift", "job", "certificate", "restart", "oom", "event"]
Level = Literal["error", "warning", ""]
BEFORE = timedelta(minutes=30)
"""How long before the beginning of an alert is looked at, if nobody says otherwise."""
AFTER = timedelta(minutes=30)
"""How long after its beginning."""
_STRICT = ConfigDict(extra="forbid")
_Names = Annotated[frozenset[Label], few(100), Field(max_length=100), PlainSerializer(sorted, list[str])]


@dataclass(frozen=True, slots=True)
class Subject:
    """What is investigated: an alert, or a question in words. Times are aware.

    `alert` is empty for a question. `services` and `hosts` are those that it names, by their labels.
    """

    __pydantic_config__ = _STRICT
    began: Time
    alert: Label = ""
    labels: Annotated[Mapping[Label, Sentence], few(64), Field(max_length=64)] = field(default_factory=dict)
    expression: Text = ""
    summary: Sentence = ""
    question: Text = ""
    services: _Names = frozenset()
    hosts: _Names = frozenset()
    ended: Time | None = None

    def window(self, now: datetime, before: timedelta = BEFORE) -> tuple[datetime, datetime]:
        """What is looked at: from `before` its beginning until AFTER, or as long after it where `before` is
        longer, but no later than `now` or AFTER its end.
        """
        end = min(now, (self.ended or now) + AFTER, self.began + max(AFTER, before))
        return self.began - before, end


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a log, a warning or worse where the log says so."""

    __pydantic_config__ = _STRICT
    at: Annotated[Time, Field(alias="time")]
    text: Annotated[Text, Field(alias="message")]
    service: Label = ""
    host: Label = ""
    level: Level = ""


@dataclass(frozen=True, slots=True)
class Change:
    """Something that somebody or something did: an apply with its diff, a job's run, an event, a restart."""

    __pydantic_config__ = _STRICT
    at: Annotated[Time, Field(alias="time")]
    kind: ChangeKind
    text: Sentence
    detail: Text = ""
    service: Label = ""
    host: Label = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact about a host or a service as it is now. `ok` is None where it is neither good nor bad."""

    __pydantic_config__ = _STRICT
    name: Label
    value: Sentence
    ok: bool | None = None
    service: Label = ""
    host: Label = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a page that was written beforehand: a runbook, or the team's own knowledge."""

    __pydantic_config__ = _STRICT
    kind: Literal["runbook", "knowledge"]
    file: Label
    heading: Sentence
    text: PageText


@dataclass(frozen=True, slots=True)
class Earlier:
    """An incident like this one that ended: what it was about, and the cause that a person named."""

    __pydantic_config__ = _STRICT
    id: Label
    at: Annotated[Time, Field(alias="time")]
    summary: Sentence
    cause: Sentence


@dataclass(frozen=True, slots=True)
class Unread:
    """A source that could not be read, and why."""

    __pydantic_config__ = _STRICT
    source: Label
    reason: Sentence


@dataclass(frozen=True, slots=True)
class Material:
    """All that was read about `subject` from `start` to `end`. `read` names the sources that answered."""

    __pydantic_config__ = _STRICT
    subject: Subject
    start: Time
    end: Time
    series: Annotated[
        tuple[Series, ...],
        BeforeValidator(openmetrics.series_of),
        PlainSerializer(openmetrics.text_of, str, when_used="json"),
    ] = ()
    lines: tuple[Line, ...] = ()
    changes: tuple[Change, ...] = ()
    facts: tuple[Fact, ...] = ()
    pages: tuple[Page, ...] = ()
    earlier: Annotated[tuple[Earlier, ...], few(20), Field(max_length=20)] = ()
    read: Annotated[tuple[Label, ...], few(100), Field(max_length=100)] = ()
    unread: Annotated[tuple[Unread, ...], few(100), Field(max_length=100)] = ()

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
