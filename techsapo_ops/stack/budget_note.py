"""What the app has to know of budgets and its own data can't tell: that data is gone, and resets.

The note in the state directory is what holds; a copy lies beside the app's configuration, where it reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import AwareDatetime, TypeAdapter

from techsapo_ops.adapters.json_files import read_json
from techsapo_ops.messages import msg

FILE = "note.json"
"""In the folder `BUDGET_FOLDER`."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Audit rows that are lost: the log was there since `since`, seen last at `seen`, and gone by `until`."""

    since: AwareDatetime
    seen: AwareDatetime
    until: AwareDatetime


@dataclass(frozen=True, slots=True)
class BudgetNote:
    """`audit_since`: by app instance, since when it has an audit log of its own.

    `resets`: by period, when its budgets were last told to start at zero.
    """

    audit_since: Mapping[str, AwareDatetime] = field(default_factory=dict)
    gaps: tuple[Gap, ...] = ()
    resets: Mapping[str, AwareDatetime] = field(default_factory=dict)

    def text(self) -> str:
        """As it is written."""
        return TypeAdapter(BudgetNote).dump_json(self, indent=1).decode() + "\n"


def read_note(path: Path) -> BudgetNote:
    """The note in a file; an empty one where there is none. Raises OpsError for one that can't be read."""
    remedy = msg("remove it: budgets then go by the audit log alone")
    made = TypeAdapter(BudgetNote).validate_python
    return read_json(path, made, empty=BudgetNote(), remedy=remedy)
