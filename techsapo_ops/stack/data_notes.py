"""Notes on data: how much of it each service had, and what the app has to know of budgets.

Without a note of it a data folder that is gone looks like one that was never there, and is made anew, empty.
By engine, since each has data of its own: folders, or volumes.

Of budgets it is what the app's own data can't tell: that data is gone, and resets. The note in the state
directory is what holds; a copy lies beside the app's configuration, where it reads it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, TypeAdapter

from techsapo_ops.adapters.json_files import read_json, write_json
from techsapo_ops.adapters.lock import exclusive
from techsapo_ops.messages import msg
from techsapo_ops.stack.backup import Amount
from techsapo_ops.stack.layout import Layout

MARK = ".techsapo-data"
"""File in each data folder that was noted: one that was made anew has none."""
_WAIT = 10.0


@dataclass(frozen=True, slots=True)
class KnownData:
    """The data of one service: there since `since`, seen last at `seen`, and how much it was then."""

    kind: str
    since: datetime
    seen: datetime
    amount: Amount | None = None

    @classmethod
    def of(cls, value: Any) -> KnownData:
        """That of a note. Raises ValueError, KeyError or TypeError for what is none."""
        amount = value["amount"]
        return cls(
            str(value["kind"]),
            datetime.fromisoformat(value["since"]).astimezone(),
            datetime.fromisoformat(value["seen"]).astimezone(),
            None if amount is None else Amount(amount["unit"], int(amount["count"])),
        )

    def to_json(self) -> dict[str, Any]:
        """As it is noted."""
        amount = None if self.amount is None else {"unit": self.amount.unit, "count": self.amount.count}
        since, seen = self.since.isoformat(), self.seen.isoformat()
        return {"kind": self.kind, "since": since, "seen": seen, "amount": amount}


class DataNote:
    """The note of the stack of `layout` for the engine of that name. Methods raise OpsError where it can't be
    read or written.
    """

    def __init__(self, layout: Layout, engine: str) -> None:
        self._layout = layout
        self._path = layout.data_note
        self._section = engine

    def known(self) -> dict[str, KnownData]:
        """The services with data, by name."""
        return {name: KnownData.of(value) for name, value in self._read().get(self._section, {}).items()}

    def add(self, data: Mapping[str, KnownData]) -> None:
        """Note the data of these services; those that are noted keep their `since`."""
        with self._changing() as noted:
            for name, new in data.items():
                noted[name] = replace(new, since=noted[name].since) if name in noted else new

    def refresh(self, data: Mapping[str, KnownData]) -> None:
        """As `add`, for those that are noted: what was forgotten meanwhile stays forgotten."""
        with self._changing() as noted:
            for name in noted.keys() & data.keys():
                noted[name] = replace(data[name], since=noted[name].since)

    def forget(self, names: Collection[str] | None = None) -> None:
        """Forget these services, or all: their data is gone because somebody wanted that."""
        if not self._path.exists():
            return
        with self._changing() as noted:
            for name in set(noted) if names is None else noted.keys() & set(names):
                del noted[name]

    @contextmanager
    def _changing(self) -> Iterator[dict[str, KnownData]]:
        with exclusive(self._path.with_suffix(".lock"), wait=_WAIT):
            noted = self.known()
            yield noted
            every = {**self._read(), self._section: {name: each.to_json() for name, each in noted.items()}}
            write_json(self._path, every)

    def _read(self) -> dict[str, Any]:
        return read_json(
            self._path,
            _checked,
            empty={},
            remedy=msg(
                "check that the data of each service is there, then remove that file: `techsapo up` writes "
                "a new one"
            ),
        )


def _checked(value: Any) -> dict[str, Any]:
    for services in value.values():
        for each in services.values():
            KnownData.of(each)
    return dict(value)


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
    remedy = msg("remove that file: budgets are then calculated from the audit log alone")
    made = TypeAdapter(BudgetNote).validate_python
    return read_json(path, made, empty=BudgetNote(), remedy=remedy)
