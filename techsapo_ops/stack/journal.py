"""The journal: operations that are under way, and what the next command does with half of one.

    <state>/journal/apply.json     files and services are brought to another state
    <state>/journal/restore.json   data is replaced
    <state>/journal/recovery.json  a whole stack is brought back on an empty host

An entry is there from before the first change until the operation has ended. It says who began it, when and
on which host, the step that is under way and those that are done. Each change is on disk before what it
speaks of happens. Only the holder of that operation's lock writes it.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Generic, Literal, TypeVar, cast

from techsapo_ops.adapters.files import private_folder, remove_file, write_atomic
from techsapo_ops.adapters.folders import write_hint
from techsapo_ops.adapters.lock import held
from techsapo_ops.adapters.users import actor
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.layout import LOCK, Layout

F = TypeVar("F")


class Operation(StrEnum):
    """What is journalled; the value names its file."""

    APPLY = "apply"
    RESTORE = "restore"
    RECOVERY = "recovery"


REPLACE, START = "replace", "start"
"""Steps of a restore: its data is replaced; it is whole, and the services that were stopped are started."""


@dataclass(frozen=True, slots=True)
class CutShort:
    """An operation that was killed: what it left, what completes or undoes it, and the way out of a damaged
    entry."""

    what: str
    then: str
    damaged: str
    whole_from: str | None = None
    """The step from which on nothing is half: whatever command comes next may go ahead."""


CUT_SHORT: Mapping[Operation, CutShort] = {
    Operation.APPLY: CutShort(
        msg("an apply was interrupted"),
        msg("`techsapo up` completes the apply, `techsapo rollback` undoes it"),
        msg("`techsapo up` applies the spec again"),
    ),
    Operation.RESTORE: CutShort(
        msg("a restore was interrupted halfway: the data is neither the old state nor the backup"),
        msg(
            "`techsapo up` returns to the state before the restore; a new `techsapo restore` does the same "
            "first"
        ),
        msg("remove that file, then restore a backup: `techsapo restore`"),
        whole_from=START,
    ),
    Operation.RECOVERY: CutShort(
        msg("this stack is being recovered"),
        msg(
            "complete the recovery first: run the same `techsapo recover` again, or run `techsapo recover "
            "--abandon`"
        ),
        msg(
            "continue with the version of techsapo that started the recovery; or run `techsapo down "
            "--volumes` and remove the state directory: the backup repository still has everything"
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class Entry(Generic[F]):
    """An operation under way. `facts` is what completing or undoing it needs, `done` the seconds of each step
    that is done."""

    facts: F
    began: datetime
    host: str
    who: Mapping[str, str | int]
    step: str = ""
    """The step that is under way; empty before the first."""
    done: Mapping[str, float] = field(default_factory=dict)
    version: Literal[1] = 1

    @property
    def elsewhere(self) -> str:
        """The other host on which it ran; empty for this one."""
        return self.host if self.host != socket.gethostname() else ""

    def begun(self, step: str) -> bool:
        """Whether that step has changed anything, or may have."""
        return step == self.step or step in self.done


class Journal(Generic[F]):
    """The entry of one kind of operation on the stack of `layout`; `kind` is the dataclass of its facts.

    Every method raises OpsError where the entry can't be written, or removed.
    """

    def __init__(self, layout: Layout, operation: Operation, kind: type[F]) -> None:
        self._layout = layout
        self._operation = operation
        self._kind = kind
        self.path = layout.journal / f"{operation}.json"
        self.entry: Entry[F] | None = None
        """As it was read or written last."""

    @property
    def under_way(self) -> Entry[F]:
        """The entry, once it was begun or read."""
        assert self.entry is not None, "begin or read comes first"  # noqa: S101 - a mistake of ours, no input
        return self.entry

    def read(self) -> Entry[F] | None:
        """What did not end; None where there is nothing. Raises OpsError for an entry that can't be read."""
        self.entry = None
        try:
            text = self.path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise OpsError(
                msg("cannot read the journal {path}: {strerror}", path=self.path, strerror=error.strerror)
            ) from None
        from pydantic import TypeAdapter  # 0.2 s, which a command need not pay where nothing is under way

        try:
            adapter: TypeAdapter[Entry[F]] = TypeAdapter(cast(Any, Entry)[self._kind])
            entry = adapter.validate_json(text, strict=True)
        except ValueError:
            hint = CUT_SHORT[self._operation].damaged
            raise OpsError(
                msg("{path} is damaged, or was written by another version", path=self.path), hint
            ) from None
        self.entry = entry
        return entry

    def begin(self, facts: F, step: str = "", began: datetime | None = None) -> None:
        """Note the operation before anything is touched, and the first step where that begins at once."""
        private_folder(self.path.parent, self._layout.state)
        self._write(Entry(facts, began or datetime.now(UTC), socket.gethostname(), actor(), step))

    def reach(self, step: str, **changes: Any) -> None:
        """Note that `step` is about to begin, and new values of some of the facts."""
        self._write(replace(self.under_way, step=step, facts=self._changed(changes)))

    def done(self, step: str, seconds: float) -> None:
        """Note that `step` is done."""
        entry = self.under_way
        self._write(replace(entry, done={**entry.done, step: round(seconds, 3)}))

    def note(self, **changes: Any) -> None:
        """Note new values of some of the facts."""
        self._write(replace(self.under_way, facts=self._changed(changes)))

    def end(self) -> None:
        """Nothing is left to do: forget the entry. A power cut does not bring it back."""
        try:
            remove_file(self.path)
        except OSError as error:
            raise OpsError(
                msg("cannot remove {path}: {strerror}", path=self.path, strerror=error.strerror),
                write_hint(error),
            ) from None
        with suppress(OSError):  # of another operation there is one, or there was none
            self.path.parent.rmdir()
        self.entry = None

    def _changed(self, changes: Mapping[str, Any]) -> F:
        return cast(F, replace(cast(Any, self.under_way.facts), **changes))

    def _write(self, entry: Entry[F]) -> None:
        text = json.dumps(asdict(entry), ensure_ascii=False, indent=1, default=datetime.isoformat)
        write_atomic(self.path, f"{text}\n".encode(), 0o600)
        self.entry = entry


@dataclass(frozen=True, slots=True)
class Replaced:
    """What a restore replaces: the backup of what was there before, and the services that it stopped.

    `safety` is empty where nothing was there.
    """

    safety: str
    kinds: tuple[str, ...]
    apps: tuple[str, ...]
    spent: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By kind, what was spent before, by what the kind calls it: what comes back may say no less."""

    def __post_init__(self) -> None:
        if any(amount < 0 for amounts in self.spent.values() for amount in amounts.values()):
            raise ValueError(self.spent)


def restore_journal(layout: Layout) -> Journal[Replaced]:
    """The journal of restores."""
    return Journal(layout, Operation.RESTORE, Replaced)


def interrupted(layout: Layout) -> Entry[Replaced] | None:
    """The restore that did not end, if there is one. Raises OpsError for an entry that can't be read."""
    return restore_journal(layout).read()


def half_done(layout: Layout) -> Mapping[Operation, str]:
    """The operations that were cut short, or are under way, and have left something half, and what is said of
    each. An entry that can't be read counts.
    """
    said = {}
    for operation in Operation:
        what = CUT_SHORT[operation].what
        try:
            entry = _half(layout, operation)
        except OpsError:
            said[operation] = what
            continue
        if entry is not None:
            said[operation] = msg(
                "{what} (started by {user} on {host}, {began:%Y-%m-%d %H:%M:%S} UTC)",
                what=what,
                user=entry.who.get("login") or entry.who.get("user", "?"),
                host=entry.host,
                began=entry.began,
            )
    return said


def _half(layout: Layout, operation: Operation) -> Entry[dict[str, Any]] | None:
    entry = Journal(layout, operation, dict[str, Any]).read()
    return entry if entry is not None and entry.step != CUT_SHORT[operation].whole_from else None


def require_ended(layout: Layout, *operations: Operation) -> None:
    """Raise OpsError where one of `operations` has left something half: what it left is nothing to go by."""
    for operation, said in half_done(layout).items():
        if operation in operations:
            raise OpsError(said, CUT_SHORT[operation].then)


def half_restored(layout: Layout) -> bool:
    """Whether a restore left the data half way; not while one is at work, nor for a user who may not look.

    For what only reports.
    """
    try:
        return _half(layout, Operation.RESTORE) is not None and not held(layout.state / LOCK)
    except (OpsError, OSError):
        return False
