"""The report as a whole: short enough for one screen and one message, whatever the names in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.catalogue.report import Words
from techsapo_ops.operations.report import kept, measured, money
from techsapo_ops.operations.report.page import wrapped
from techsapo_ops.operations.report.section import Section, Sources, made, named
from techsapo_ops.operations.report.updates import updates
from techsapo_ops.services.monitoring import prometheus_of
from techsapo_ops.stack.stack import Stack

WEEK = 7
"""Days that a report is about."""
MOST_DAYS = 31
"""Prometheus answers with 11,000 looks at most: https://prometheus.io/docs/prometheus/latest/querying/api/"""
_INDENT = "   "
_SECTIONS = (
    ("cost", money.cost),
    ("refused", measured.refused),
    ("declined", money.declined),
    ("down", measured.down),
    ("alerts", measured.noisy),
    ("backups", kept.backups),
    ("drills", kept.drills),
    ("jobs", kept.job_runs),
    ("certificates", kept.certificates),
    ("models", kept.models),
    ("updates", updates),
)


@dataclass(frozen=True, slots=True)
class Report:
    """What is told: `week` is the ISO week in which, by the clock of the schedule."""

    project: str
    locale: str
    made: datetime
    days: int
    title: str
    sections: tuple[Section, ...]

    @property
    def week(self) -> str:
        """Such as 2026-W48."""
        year, week, _ = self.made.isocalendar()
        return f"{year}-W{week:02}"

    @property
    def text(self) -> str:
        """As people read it: the title, then a line or a few for each section. Who shows it breaks lines."""
        return "\n".join(self._lines())

    @property
    def page(self) -> str:
        """The same for a terminal and for mail, where lines are short."""
        return "\n".join(part for line in self._lines() for part in wrapped(line, indent=_INDENT))

    def _lines(self) -> Iterator[str]:
        words = Words(self.locale)
        yield self.title
        for section in self.sections:
            first, *others = section.lines
            yield words("heading", title=words(f"{section.name}_title"), line=first)
            yield from (f"{_INDENT}{line}" for line in others)

    def to_json(self) -> dict[str, Any]:
        """The same as plain data, with the text."""
        return {
            "project": self.project,
            "week": self.week,
            "made": self.made.isoformat(timespec="seconds"),
            "days": self.days,
            "text": self.text,
            "sections": {
                s.name: {"available": not s.missing, "missing": s.missing or None, **s.facts}
                for s in self.sections
            },
        }


def report_of(stack: Stack, now: datetime, days: int = WEEK, server: Prometheus | None = None) -> Report:
    """The report of the last `days` days; a section whose source is away says why.

    `server` is asked in place of the stack's own Prometheus.
    """
    asked = server or prometheus_of(stack)
    words = Words(stack.spec.locale)
    sources = Sources(stack, words, now, days, measured.patient(asked) if asked is not None else None)
    first, last = sources.begin.date(), now.date()
    environment = stack.layout.environment
    project = stack.spec.project if environment is None else f"{stack.spec.project} ({environment})"
    return Report(
        stack.spec.project,
        stack.spec.locale,
        now,
        days,
        words("title" if days > 1 else "title_day", project=named(project), first=first, last=last),
        tuple(made(name, make, sources) for name, make in _SECTIONS),
    )
