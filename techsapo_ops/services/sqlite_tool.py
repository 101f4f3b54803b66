"""Copies an SQLite database while it is written to, and swaps a copy in; run where the database is.

Its text is handed to `python -c` in the folder of the data, as the user of the service and perhaps in its
container: so it imports the standard library alone. Every file is named relative to that folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import sys
from typing import Any
from urllib.parse import quote

REPLACED = ".before-restore"
"""Ends the name of what a restore replaced; an empty one says that there was nothing."""
_BESIDE = ("-wal", "-shm", "-journal")
_WAIT = 30.0
_STEP = 4096
"""Pages that are copied between two looks at signals."""


def facts(connection: sqlite3.Connection) -> dict[str, Any]:
    """Rows of each table, and a digest of the definitions."""
    listed = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        " ORDER BY name"
    ).fetchall()
    tables = {}
    for name, _ in listed:
        quoted = str(name).replace('"', '""')
        tables[name] = {"rows": connection.execute(f'SELECT COUNT(*) FROM "{quoted}"').fetchone()[0]}  # noqa: S608 - a name can't be a parameter
    schema = hashlib.sha256("\n".join(str(sql) for _, sql in listed).encode()).hexdigest()
    return {"tables": tables, "schema": schema}


def examine(path: str) -> dict[str, Any]:
    """The facts of the database at `path`, which nobody else has open, and what `integrity_check` says."""
    connection = _open(path)
    try:
        said = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(10)")]
        return {**facts(connection), "integrity": said}
    finally:
        connection.close()


def take(name: str) -> None:
    """Write to standard output a line of JSON, then the database as it was at one moment."""
    copy = f".{name}.backup"
    _remove(copy)
    try:
        _create(copy)
        source = _open(name)
        # The backup goes on in this transaction: rows that are written meanwhile are in neither.
        source.execute("BEGIN")
        counted = facts(source)
        target = _open(copy)
        target.execute("PRAGMA synchronous=OFF")
        source.backup(target, pages=_STEP)
        target.execute("PRAGMA journal_mode=DELETE")  # one file, without a write-ahead log beside it
        target.close()
        source.close()
        copied = examine(copy)
        if copied.pop("integrity") != ["ok"]:
            raise SystemExit(f"{name} is damaged: PRAGMA integrity_check finds faults in a copy of it")
        if copied != counted:
            raise SystemExit(f"the copy of {name} differs from what was counted in it")
        with open(copy, "rb") as file:  # noqa: PTH123
            _remove(copy)
            size = os.fstat(file.fileno()).st_size
            head = {"bytes": size, "sqlite": sqlite3.sqlite_version, **counted}
            sys.stdout.buffer.write(json.dumps(head).encode() + b"\n")
            shutil.copyfileobj(file, sys.stdout.buffer, 1 << 18)
        sys.stdout.buffer.flush()
    finally:
        _remove(copy)


def look(name: str) -> None:
    """Print the facts of a database that is in use, `null` where there is none."""
    if not os.path.exists(name):  # noqa: PTH110
        sys.stdout.write("null\n")
        return
    source = _open(name)
    source.execute("BEGIN")
    sys.stdout.write(json.dumps({"sqlite": sqlite3.sqlite_version, **facts(source)}) + "\n")
    source.close()


def ask(name: str, table: str, statements: list[str]) -> None:
    """Run statements in one transaction and print the rows that they give; none where there is no `table`."""
    rows: list[Any] = []
    if os.path.exists(name):  # noqa: PTH110
        source = _open(name)
        if table in facts(source)["tables"]:
            source.execute("BEGIN IMMEDIATE")
            for statement in statements:
                rows += source.execute(statement).fetchall()
            source.execute("COMMIT")
        source.close()
    sys.stdout.write(json.dumps(rows) + "\n")


def put(name: str, size: int) -> None:
    """Read a database of `size` bytes and swap it in; what was there is kept under another name."""
    new = f".{name}.restoring"
    replaced = name + REPLACED
    for stale in (new, replaced):
        _remove(stale)
    try:
        _create(new)
        with open(new, "wb") as file:  # noqa: PTH123
            shutil.copyfileobj(sys.stdin.buffer, file, 1 << 18)
            os.fsync(file.fileno())
        if os.path.getsize(new) != size:  # noqa: PTH202
            raise SystemExit("only part of the database arrived")
        if examine(new)["integrity"] != ["ok"]:
            raise SystemExit("the received database is damaged: PRAGMA integrity_check finds faults")
        if os.path.exists(name):  # noqa: PTH110
            # Its write-ahead log goes into it first, or SQLite would apply that to what replaces it. Whoever
            # looks on by a connection of his own, idle, keeps the old files, which have no names then.
            old = _open(name)
            busy = old.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            old.close()
            if busy:
                raise SystemExit(f"{name} is in use: a program reads or writes it")
            for beside in _BESIDE:
                _unlink(name + beside)
            os.link(name, replaced)
        else:
            _create(replaced)
        _sync()
        os.replace(new, name)  # noqa: PTH105
        _sync()
    finally:
        _remove(new)


def back(name: str) -> None:
    """Bring back what `put` replaced; nothing where it had not come so far."""
    replaced = name + REPLACED
    if not os.path.exists(replaced):  # noqa: PTH110
        return
    for beside in _BESIDE:
        _unlink(name + beside)
    if os.path.getsize(replaced) == 0:  # noqa: PTH202
        _unlink(name)
    else:
        os.replace(replaced, name)  # noqa: PTH105
    _sync()
    _unlink(replaced)  # still there where both were one file: then rename does nothing


def _open(name: str) -> sqlite3.Connection:
    path = quote(os.path.abspath(name))  # noqa: PTH100
    connection = sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=_WAIT, isolation_level=None)
    connection.execute(f"PRAGMA busy_timeout={int(_WAIT * 1000)}")
    return connection


def _create(name: str) -> None:
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _remove(name: str) -> None:
    for ending in ("", *_BESIDE):
        _unlink(name + ending)


def _unlink(name: str) -> None:
    if os.path.lexists(name):
        os.unlink(name)  # noqa: PTH108


def _sync() -> None:
    folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(folder)
    os.close(folder)


def main(words: list[str]) -> None:
    """Do what `words` say; ends with the reason where that is not possible."""
    # What a killed restore has begun ends before the next one looks.
    folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    if words[0] != "look":
        fcntl.flock(folder, fcntl.LOCK_EX)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the copy is removed
    try:
        if words[0] == "take":
            take(words[1])
        elif words[0] == "look":
            look(words[1])
        elif words[0] == "ask":
            ask(words[1], words[2], words[3:])
        elif words[0] == "put":
            put(words[1], int(words[2]))
        elif words[0] == "back":
            back(words[1])
        else:
            _remove(words[1] + REPLACED)
    except (sqlite3.Error, OSError) as error:
        raise SystemExit(f"{words[1]}: {error}") from None


if __name__ == "__main__":
    main(sys.argv[1:])
