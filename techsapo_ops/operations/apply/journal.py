"""The apply that is under way, so that the next command knows of one that was killed."""

from __future__ import annotations

import json
import socket
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from techsapo_ops.adapters.files import remove_file, write_atomic
from techsapo_ops.messages import msg
from techsapo_ops.operations.apply.ledger import Ledger
from techsapo_ops.operations.apply.ledger_entry import LedgerEntry

BEGUN, FILES, PREPARED, SERVICES, READ_BACK, BACK = (
    "begun", "files", "prepared", "services", "read-back", "going-back",
)  # fmt: skip
_WORDS = {
    BEGUN: msg("before any file was written"),
    FILES: msg("after the files were written"),
    PREPARED: msg("before the first service"),
    SERVICES: msg("while services were changed"),
    READ_BACK: msg("while reading back what runs"),
    BACK: msg("while going back"),
}


@dataclass(frozen=True, slots=True)
class Note:
    """What the journal says: the apply as it would be recorded if it ended now, and how far it got.

    `host` is where it ran: of several, what another one reads is as old as what was shared last.
    """

    entry: LedgerEntry
    phase: str
    done: tuple[str, ...] = ()
    host: str = ""


class Journal:
    """`ledger/journal.json`; there only while an apply is under way or after one was killed."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.path = ledger.folder / "journal.json"
        self._note: Note | None = None

    def begin(self, entry: LedgerEntry) -> None:
        """Note an apply before anything is touched. Raises OpsError where that can't be written."""
        self._ledger.make_folders()
        self._write(Note(entry, BEGUN, host=socket.gethostname()))

    def reached(self, phase: str, service: str | None = None) -> None:
        """Note that `phase` was reached, or one more service of it was done."""
        assert self._note is not None, "begin comes first"  # noqa: S101 - a mistake of ours, no input
        done = (*self._note.done, service) if service is not None else self._note.done
        self._write(replace(self._note, phase=phase, done=done))

    def commit(self, entry: LedgerEntry) -> frozenset[str]:
        """Record the apply, then forget the note: killed in between, `recover` finds it recorded.

        Returns what Ledger.record does.
        """
        forgotten = self._ledger.record(entry)
        remove_file(self.path)
        self._note = None
        return forgotten

    def noted(self) -> LedgerEntry | None:
        """The apply that is under way, or that was killed and not recorded yet; changes nothing."""
        note = self._read()
        return note.entry if note is not None else None

    def elsewhere(self) -> str:
        """The other host on which what is noted ran; "" for this one, and where nothing is noted."""
        note = self._read()
        return note.host if note is not None and note.host != socket.gethostname() else ""

    def recover(self) -> LedgerEntry | None:
        """Record an apply that was killed as failed and return it; None when there was none."""
        note = self._read()
        if note is None:
            remove_file(self.path)
            return None
        entry = None
        if all(recorded.id != note.entry.id for recorded in self._ledger.entries()):
            where = _WORDS.get(note.phase, note.phase)
            done = msg(" (done: {done})", done=", ".join(note.done)) if note.done else ""
            elsewhere = self.elsewhere() != ""
            entry = replace(
                note.entry,
                result="failed",
                reason=msg("interrupted on {host}, {where} or later", host=note.host, where=where)
                if elsewhere
                else msg("interrupted {where}{done}", where=where, done=done),
                seconds=self._seconds(note),
            )
            self._ledger.record(entry)
        remove_file(self.path)
        return entry

    def _seconds(self, note: Note) -> float:
        """For how long the noted apply is known to have run: until the note was last written."""
        return max(0.0, self.path.stat().st_mtime - note.entry.time.timestamp())

    def _write(self, note: Note) -> None:
        value = {**asdict(note)}
        value["entry"]["time"] = note.entry.time.isoformat()
        write_atomic(self.path, json.dumps(value, ensure_ascii=False).encode(), 0o600)
        self._note = note

    def _read(self) -> Note | None:
        try:
            value: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
            entry = LedgerEntry(
                **{
                    **value["entry"],
                    "time": datetime.fromisoformat(value["entry"]["time"]),
                    "files": tuple((str(path), str(kind)) for path, kind in value["entry"]["files"]),
                    "steps": (),
                }
            )
            return Note(entry, value["phase"], tuple(value["done"]), str(value["host"]))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError):
            return None  # written whole or not at all: only a hand can have damaged it
