"""The journal of a recovery in hand: each change of it is on disk before anything else happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.folders import missing
from techsapo_ops.operations.recover.journal import Desk, Journal


class Progress:
    """How far one recovery is: `journal` is what the desk has. Every method raises OpsError where it can't be
    written.
    """

    def __init__(self, desk: Desk, journal: Journal) -> None:
        self._desk = desk
        self.journal = journal

    def note(self, **changes: Any) -> None:
        """Note new values of fields of the journal."""
        self.journal = self._desk.write(replace(self.journal, **changes))

    def step(self, name: str, work: Callable[[], object], *, before: float = 0.0) -> None:
        """Do `work` unless that step is done, and note its seconds with those that it took `before`."""
        if not self.journal.has(name):
            began = time.monotonic() - before
            work()
            self.note(done={**self.journal.done, name: round(time.monotonic() - began, 3)})

    def making(self, path: Path) -> None:
        """Note that `path`, which is not there yet, is about to be made, with the folders that it needs."""
        if str(path) not in self.journal.made:
            above = dict.fromkeys((*self.journal.folders, *map(str, missing(path.parent))))
            self.note(made=(*self.journal.made, str(path)), folders=tuple(above))

    def remains(self, found: Iterable[tuple[str, str]]) -> None:
        """Note what did not work: it is told at the end, also by the command that goes on after a kill."""
        known = tuple(dict.fromkeys((*self.journal.remaining, *found)))
        if known != self.journal.remaining:
            self.note(remaining=known)
