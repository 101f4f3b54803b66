"""What every section of the report has in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from techsapo_ops.adapters.prometheus import Prometheus, Series
from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.catalogue.report import Words
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.watch.costs import rows_of
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stores.audit.rows import Rows

MOST = 3
"""Entries of a list that are named; the others are counted."""
NAME = 40
"""Characters of a name from elsewhere."""
LINE = 160
"""Characters of a line."""
STEP = 300
"""Seconds of one look at the past: what fires for less is taken for as long."""


@dataclass(frozen=True, slots=True)
class Section:
    """One section: its lines in the report's language, and the same as plain data."""

    name: str
    lines: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    missing: str = ""
    """Why it could not be made; empty where it was."""


@dataclass(frozen=True)
class Sources:
    """Where the sections of the last `days` days find what they tell, looked at from `now`, an aware time."""

    stack: Stack
    words: Words
    now: datetime
    days: int
    server: Prometheus | None

    @property
    def begin(self) -> datetime:
        """When the time of the report begins."""
        return self.now - timedelta(days=self.days)

    def clock(self, moment: float) -> str:
        """A moment, as seconds since 1970, by the clock of the report."""
        return f"{datetime.fromtimestamp(moment, self.now.tzinfo):%Y-%m-%d %H:%M}"

    def iso(self, moment: float | None) -> str | None:
        """The same as plain data; None where there is none."""
        return None if moment is None else datetime.fromtimestamp(moment, self.now.tzinfo).isoformat()

    @property
    def prometheus(self) -> Prometheus:
        """The stack's Prometheus. Raises OpsError where it has none."""
        if self.server is None:
            raise OpsError(msg("this stack runs no Prometheus"))
        return self.server

    def looks(self, expression: str) -> Sequence[Series]:
        """What Prometheus knows of `expression`, at each look. Raises OpsError."""
        end = self.now.timestamp()
        return self.prometheus.query_range(expression, self.begin.timestamp() + STEP, end, STEP)

    @cached_property
    def measured(self) -> Sequence[float]:
        """The looks before which Prometheus asked anybody anything, in order. Raises OpsError.

        Without one, nothing that it does not know of can be called none.
        """
        found = self.looks(f"max(count_over_time(up[{STEP}s]))")
        return sorted({at for series in found for at in series.values})

    @cached_property
    def rows(self) -> Rows:
        """What the audit log has of that time and of the one before. Raises OpsError."""
        return rows_of(self.stack, 2 * self.days)


def named(text: str, most: int = NAME) -> str:
    """A name from elsewhere, on one line and not longer than it may be."""
    line = " ".join(harmless(text).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def some(words: Words, parts: Sequence[str], most: int = MOST) -> str:
    """The first of `parts`, and how many there are beside them."""
    shown = list(parts[:most])
    if len(parts) > most:
        shown.append(words("rest", count=len(parts) - most))
    return words.joined(shown)


def made(name: str, make: Callable[[Sources], tuple[list[str], dict[str, Any]]], sources: Sources) -> Section:
    """The section that `make` makes; where its source is away, one that says why."""
    try:
        lines, facts = make(sources)
    except (OpsError, OSError) as error:
        told = error.message if isinstance(error, OpsError) else error.strerror or type(error).__name__
        why = named(told.splitlines()[0], LINE - NAME)
        return Section(name, (sources.words("missing", why=why),), missing=why)
    return Section(name, tuple(named(line, LINE) for line in lines), facts)
