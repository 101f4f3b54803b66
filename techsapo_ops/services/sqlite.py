"""An SQLite database, such as the audit log of a stack without MariaDB, by SQLite's online backup."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from techsapo_ops.adapters.folders import opened
from techsapo_ops.adapters.packed import PackedReader, PackedWriter
from techsapo_ops.adapters.pipes import Running, pour
from techsapo_ops.adapters.process import Command
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services import sqlite_tool
from techsapo_ops.stack.backup import Amount, BackupKind, Door, Part, Progress, Trial
from techsapo_ops.stack.layout import SCRATCH_FOLDER
from techsapo_ops.stack.shapes import count, each, has, text

if TYPE_CHECKING:
    from techsapo_ops.stack.stack import Stack

_MAGIC = b"SQLite format 3\0"
_LONGEST_HEAD = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Database:
    """One database: `door` leads into the folder that it lies in, where `python` is to be had.

    `kind` is the word that brings a good one back.
    """

    door: Door
    name: str
    python: str
    kind: str

    def command(self, *words: str) -> Command:
        """The call of the tool on it."""
        tool = resources.files("techsapo_ops.services").joinpath("sqlite_tool.py").read_text(encoding="utf-8")
        return self.door.enter(Command((self.python, "-I", "-c", tool, words[0], self.name, *words[1:])))

    def run(self, *words: str) -> bytes:
        """What the tool prints. Raises OpsError with its words."""
        done = self.door.runner.run(self.command(*words), timeout=600)
        if done.code != 0:
            raise self.failed(done.output)
        return done.stdout

    def look(self) -> dict[str, Any] | None:
        """The facts of it as it is now; None where it is not there."""
        facts: dict[str, Any] | None = json.loads(self.run("look"))
        return facts

    def put(self, reader: PackedReader, part: Part, progress: Progress) -> None:
        """Swap in what `reader` gives; nobody may have the database open. Raises OpsError."""
        with Running(self.command("put", str(part.raw_bytes)), feed=True) as tool:
            try:
                pour(reader, tool, progress)
                tool.finish()
            except OpsError as error:
                if tool.said:
                    raise self.failed(tool.said) from error
                raise

    def failed(self, said: str) -> OpsError:
        """The error of a tool that said `said`."""
        last = said.splitlines()[-1] if said else msg("no output")
        return OpsError(
            msg("SQLite: {last}", last=last),
            msg(
                "if the database file is damaged, move it away; then `techsapo restore --only {kind}` "
                "brings back a good one",
                kind=self.kind,
            ),
        )


@dataclass(frozen=True, slots=True)
class SqliteSource:
    """A copy of one database under the name `label`-STAMP.sqlite; `stall` is how long it may say nothing."""

    kind: str
    label: str
    database: Database
    stall: float = 600.0

    def take(self, folder: Path, stamp: str, progress: Progress) -> Part:
        """Write a copy into `folder`, with the rows of each table.

        SQLite's backup API copies the database within a transaction that reads, as the facts were counted
        in it: with a write-ahead log, which the app's has, nobody who writes waits for that.
        """
        began = time.monotonic()
        path = folder / f"{self.label}-{stamp}.sqlite.zst"
        with Running(self.database.command("take"), read=True) as tool, PackedWriter(path, progress) as file:
            head = b""
            while b"\n" not in head and len(head) < _LONGEST_HEAD and (data := tool.read(self.stall)):
                head += data
            line, _, data = head.partition(b"\n")
            file.write(data)
            while data := tool.read(self.stall):
                file.write(data)
            if tool.wait() != 0:
                raise self.database.failed(tool.said)
            known = json.loads(line)
            if file.raw_bytes != known.pop("bytes"):
                raise OpsError(
                    msg("the copy of {database} is incomplete", database=self.database.name), msg("try again")
                )
        made_by = f"SQLite {known.pop('sqlite')}"
        return Part(
            self.kind, path.name, file.bytes, file.raw_bytes, file.sha256,
            round(time.monotonic() - began, 3), made_by, {"database": self.database.name, **known},
        )  # fmt: skip


_FACTS = has(tables=each(has(rows=count)), schema=text)


class SqliteBackup(BackupKind):
    """What every kind has in common whose data is an SQLite database."""

    @override
    def fits(self, facts: Mapping[str, Any]) -> bool:
        return _FACTS(facts)

    @override
    def describe(self, part: Part) -> str:
        return described(part.facts)

    @override
    def amount(self, part: Part) -> Amount:
        return Amount("rows", sum(table["rows"] for table in part.facts["tables"].values()))

    @override
    def check(self, stack: Stack, part: Part, reader: PackedReader) -> list[str]:
        return check(part, reader)

    @override
    def trial(self, stack: Stack, part: Part, reader: PackedReader, progress: Progress) -> Trial:
        parent = stack.layout.state / SCRATCH_FOLDER
        with opened(parent, make=0o755):
            pass
        try:
            return trial(reader, part, parent, progress)
        except OpsError as error:
            return Trial((error.message,))

    @override
    def by_hand(self, file: Path) -> str:
        return f"zstd -dc {file} > copy.sqlite; sqlite3 copy.sqlite"


def described(facts: Mapping[str, Any]) -> str:
    """What a database of these facts holds, in a few words."""
    tables = facts["tables"]
    return msg(
        "{rows:,} rows in {tables} tables",
        rows=sum(table["rows"] for table in tables.values()),
        tables=len(tables),
    )


def check(part: Part, reader: PackedReader) -> list[str]:
    """What is wrong with a copy by its first bytes and its length."""
    begin = b""
    for data in reader:
        begin = begin or data[: len(_MAGIC)]
    if begin != _MAGIC:
        return [msg("the file is not an SQLite database")]
    if reader.raw_bytes != part.raw_bytes:
        return [
            msg(
                "the backup holds {actual} bytes, not {expected}",
                actual=reader.raw_bytes,
                expected=part.raw_bytes,
            )
        ]
    return []


def differences(facts: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """How the `current` facts of a database differ from the facts of its backup."""
    wanted, have = facts["tables"], current["tables"]
    wrong = [msg("table {name} is missing", name=name) for name in wanted if name not in have]
    wrong += [msg("table {name} is not in the backup", name=name) for name in have if name not in wanted]
    wrong += [
        msg(
            "table {name} has {have:,} rows, not {wanted:,}",
            name=name,
            have=have[name]["rows"],
            wanted=wanted[name]["rows"],
        )
        for name in wanted
        if name in have and have[name]["rows"] != wanted[name]["rows"]
    ]
    if not wrong and facts["schema"] != current["schema"]:
        wrong = [msg("the definition of a table differs")]
    return wrong


def trial(reader: PackedReader, part: Part, parent: Path, progress: Progress) -> Trial:
    """Unpack a copy below `parent`, open it there, and compare. Raises OpsError where there is no room."""
    import sqlite3

    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"{os.getpid()}.sqlite-", dir=parent) as folder:
        target = Path(folder) / "copy.sqlite"
        reader.unpack(target, progress)
        seconds = time.monotonic() - began
        try:
            examined = sqlite_tool.examine(str(target))
        except sqlite3.Error as error:
            return Trial((msg("the database can't be opened: {error}", error=error),), seconds)
    wrong = [
        msg("PRAGMA integrity_check: {said}", said=said) for said in examined["integrity"] if said != "ok"
    ]
    return Trial(wrong + differences(part.facts, examined), seconds)
