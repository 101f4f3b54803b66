"""The audit database as a file of SQLite: made and opened so that two may do it at the same moment."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Engine

BUSY = 5.0
"""Seconds for which a connection waits for another one's lock."""


def make_file(path: Path) -> None:
    """Make the file where there is none. Raises OSError, also where a link is in its place.

    Made here for its mode: SQLite would make it readable by all. One that is there is not opened: closing it
    would take this process's locks from whatever else has it open here.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        if path.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from None


def sqlite_engine(path: Path) -> Engine:
    """An engine with one connection to the file, in which a writer and readers go on beside each other."""
    from sqlalchemy import URL, create_engine, event

    engine = create_engine(
        URL.create("sqlite", database=str(path)), pool_size=1, max_overflow=0, hide_parameters=True
    )

    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, record: Any) -> None:  # noqa: ARG001 - SQLAlchemy's signature
        connection.execute(f"PRAGMA busy_timeout={round(BUSY * 1000)}")
        _turn_wal_on(connection)
        # Rows are written in batches, some times a second at most. With NORMAL they would reach the disk with
        # the next checkpoint, which in a quiet night is hours away.
        connection.execute("PRAGMA synchronous=FULL")

    return engine


def _turn_wal_on(connection: sqlite3.Connection) -> None:
    """Have the file written ahead, which it remembers.

    While another connection writes the very first tables, SQLite refuses this at once: it asks for no
    busy_timeout there.
    """
    deadline = time.monotonic() + BUSY
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
            pause()
        else:
            return


def pause() -> None:
    """Wait until the other connection may have finished."""
    time.sleep(0.02)
