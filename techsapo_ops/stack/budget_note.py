"""What the app has to know of budgets and its own data can't tell: that data is gone, and resets.

The note in the state directory is what holds; a copy lies beside the app's configuration, where it reads it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.json_files import read_json
from techsapo_ops.messages import msg

FILE = "note.json"
"""In the folder `BUDGET_FOLDER`."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Audit rows that are lost: the log was there since `since`, seen last at `seen`, and gone by `until`."""

    since: datetime
    seen: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class BudgetNote:
    """`audit_since`: by app instance, since when it has an audit log of its own.

    `resets`: by period, when its budgets were last told to start at zero.
    """

    audit_since: Mapping[str, datetime] = field(default_factory=dict)
    gaps: tuple[Gap, ...] = ()
    resets: Mapping[str, datetime] = field(default_factory=dict)

    @classmethod
    def of(cls, value: Any) -> BudgetNote:
        """That of a file. Raises ValueError, KeyError, TypeError or AttributeError for what is none."""
        return cls(
            {str(name): _time(text) for name, text in value["audit_since"].items()},
            tuple(Gap(_time(g["since"]), _time(g["seen"]), _time(g["until"])) for g in value["gaps"]),
            {str(period): _time(text) for period, text in value["resets"].items()},
        )

    def text(self) -> str:
        """As it is written."""
        gaps = [
            {"since": g.since.isoformat(), "seen": g.seen.isoformat(), "until": g.until.isoformat()}
            for g in self.gaps
        ]
        since = {name: time.isoformat() for name, time in self.audit_since.items()}
        resets = {period: time.isoformat() for period, time in self.resets.items()}
        return json.dumps({"audit_since": since, "gaps": gaps, "resets": resets}, indent=1) + "\n"


def read_note(path: Path) -> BudgetNote:
    """The note in a file; an empty one where there is none. Raises OpsError for one that can't be read."""
    remedy = msg("remove it: budgets then go by the audit log alone")
    return read_json(path, BudgetNote.of, empty=BudgetNote(), remedy=remedy)


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(text)
    return found
