"""The team's own knowledge: the parts of its text files in one SQLite file.

That file is replaced as a whole: whoever reads it, such as the app, finds one that is complete, and writes
nothing.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from techsapo_ops.adapters.files import let_read, sync_directory, write_atomic
from techsapo_ops.adapters.folders import open_file, write_error
from techsapo_ops.adapters.lock import exclusive
from techsapo_ops.errors import OpsError
from techsapo_ops.incidents.material import Material, Page, Subject, Unread
from techsapo_ops.incidents.own_files import MOST_FILES, NO_TEXT, NotRead, OwnFile, own_files, parts_of
from techsapo_ops.incidents.search import TABLES, best, put, remove
from techsapo_ops.messages import msg

MOST_TEXT = 16 << 20
"""Bytes of all files together; their index is five times as large."""
_FORMAT = 1
"""Another one for each change of the tables, or of what of a text stands in them."""
_FILES = (
    "CREATE TABLE files (name TEXT PRIMARY KEY, size INTEGER, changed INTEGER, digest TEXT, reason TEXT);"
)
_LOCK_SECONDS = 5.0
_MOST_ABOUT = 4
"""Parts that are evidence of one incident."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What can be searched now. `trouble` says why it could not be stored for others."""

    connection: sqlite3.Connection
    files: int
    unread: tuple[Unread, ...]
    changed: bool
    trouble: OpsError | None

    def search(self, query: str, limit: int) -> tuple[Page, ...]:
        """The parts that answer `query` best, at most `limit`; none where nothing fits."""
        return best(self.connection, query, limit)


@dataclass(frozen=True, slots=True)
class OwnKnowledge:
    """The reader of an investigation's source that `find` searches: a query, and how many parts at most."""

    find: Callable[[str, int], tuple[Page, ...]]

    def __call__(self, subject: Subject, start: datetime, end: datetime) -> Material:
        """The parts about the alert or the question. Raises OpsError where they can't be read."""
        words = (subject.question, subject.alert, subject.summary, *sorted(subject.services))
        return Material(subject, start, end, pages=self.find("\n".join(words), _MOST_ABOUT))


def search(file: Path, query: str, limit: int) -> tuple[Page, ...]:
    """The same of `file`, which somebody else writes; nothing where it is not there.

    Raises OpsError where it can't be read.
    """
    if not file.exists():
        return ()
    try:
        with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro&immutable=1", uri=True)) as stored:
            return best(stored, query, limit)
    except sqlite3.Error as error:
        raise OpsError(
            msg("the index of the team's own knowledge can't be read: {error}", error=error),
            msg("`techsapo up` makes a new index"),
        ) from None


def current(file: Path, patterns: Sequence[str], folder: Path, reader: int | None = None) -> Knowledge:
    """The knowledge in the files that `patterns` of the spec in `folder` name, as they are now.

    What has changed since `file` was written is read anew, and `file` is replaced; the user `reader` may read
    it too. Where it can't be written, what was read is there all the same, in memory. Raises OpsError where
    this Python's SQLite can't search.
    """
    files, vain = own_files(patterns, folder)
    connection = _load(file)
    before = connection.total_changes
    unread = _follow(connection, files)
    connection.commit()
    changed, trouble = connection.total_changes != before, None
    if changed:
        try:
            _store(file, connection.serialize(), reader)
        except OpsError as error:
            trouble = error
    number = connection.execute("SELECT count(*) FROM files WHERE reason = ''").fetchone()[0]
    unread += [Unread(pattern, msg("no file matches")) for pattern in vain]
    return Knowledge(connection, number, tuple(unread), changed, trouble)


def _load(file: Path) -> sqlite3.Connection:
    """What `file` holds, in memory; an empty one where it is not there, damaged or of another format."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    try:
        with os.fdopen(open_file(file, os.O_RDONLY), "rb") as stored:
            content = stored.read()
        with os.fdopen(open_file(_note(file), os.O_RDONLY), "rb") as note:
            if note.read(1000) == _digest(content):
                connection.deserialize(content)
                return connection
    except (OSError, OpsError):  # made anew; if that can't be written, whoever writes says why
        pass
    try:
        connection.executescript(TABLES + _FILES)
    except sqlite3.OperationalError as error:
        raise OpsError(
            msg("SQLite {version} can't search text: {error}", version=sqlite3.sqlite_version, error=error),
            msg("`knowledge` needs a Python with SQLite 3.34 or newer and FTS5, such as Debian 12's"),
        ) from None
    return connection


def _note(file: Path) -> Path:
    return file.with_suffix(".digest")


def _digest(content: bytes) -> bytes:
    return f"{_FORMAT} {hashlib.sha256(content).hexdigest()}\n".encode()


def _store(file: Path, content: bytes, reader: int | None) -> None:
    """Replace `file`. Raises OpsError; there is then the old one, or one that the next call replaces."""
    new = file.with_suffix(".new")
    with exclusive(file.with_suffix(".lock"), wait=_LOCK_SECONDS, what=msg("this index"), waits=False):
        write_atomic(new, content, 0o600)
        try:
            if reader is not None:
                let_read(new, [reader])
            new.replace(file)
            sync_directory(file.parent)
        except OSError as error:
            raise write_error(file, error) from None
        write_atomic(_note(file), _digest(content), 0o600)


def _follow(connection: sqlite3.Connection, files: Mapping[str, OwnFile]) -> list[Unread]:
    """Let the index hold what is in `files` now; those that are left out, and why."""
    rows = connection.execute("SELECT name, size, changed, digest, reason FROM files").fetchall()
    stored = {name: row for name, *row in rows}
    for name in stored.keys() - files.keys():
        _forget(connection, name)
    unread, total = [], 0
    for number, (name, file) in enumerate(files.items()):
        size, changed, digest, reason = stored.get(name, (-1, 0, "", ""))
        try:
            stamp = file.stamp()
            if number >= MOST_FILES:
                raise NotRead(msg("more than {most} files", most=MOST_FILES))
            if total + stamp[0] > MOST_TEXT and not reason:
                raise NotRead(msg("more than 16 MB of text in all"))
            if stamp != (size, changed):
                reason = _read(connection, file, stamp, digest)
        except NotRead as error:
            reason = str(error)
            if name in stored:
                _forget(connection, name)
        if not reason:
            total += stamp[0]
        elif reason != NO_TEXT:
            unread.append(Unread(name, reason))
    return unread


def _read(connection: sqlite3.Connection, file: OwnFile, stamp: tuple[int, int], digest: str) -> str:
    """Put what `file` holds in place of what was known of it; why it is left out, or nothing."""
    text = reason = ""
    try:
        text = file.text()
    except NotRead as error:
        reason = str(error)
    new = hashlib.sha256(text.encode()).hexdigest()
    if new != digest:
        remove(connection, file.name)
        for page in parts_of(file.name, text):
            put(connection, page)
    connection.execute(
        "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", (file.name, *stamp, new, reason)
    )
    return reason


def _forget(connection: sqlite3.Connection, name: str) -> None:
    remove(connection, name)
    connection.execute("DELETE FROM files WHERE name = ?", (name,))
