"""Tables of the audit database that every instance reads and writes, beside the audit log's own writer."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from techsapo_ops.stores.audit.database import (
    READ_TIMEOUT,
    AuditServer,
    audit_engine,
    database_errors,
    forestalled,
    make_file,
)
from techsapo_ops.stores.audit.migrate import upgrade
from techsapo_ops.stores.audit.store import PATIENCE

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy import Engine as Database

T = TypeVar("T")

_TRIES = 40
"""Decisions in a row that others forestall, before it is given up."""


class Away(Exception):
    """The tables can't be read or written now."""


class SharedTables:
    """Those in the stack's MariaDB, of a cluster in the first member that answers, or else in `sqlite`, the
    file of the one instance. Methods block, may be called from any thread, and raise Away.
    """

    def __init__(self, server: AuditServer | None, sqlite: Path) -> None:
        self._members: Sequence[AuditServer | None] = (None,) if server is None else server.members
        self._sqlite = sqlite
        self._engines: list[Database] = []
        self._ready: set[int] = set()
        self._member = 0
        self._turn = threading.Lock()

    def close(self) -> None:
        """Close the connections."""
        for engine in self._engines:
            engine.dispose()

    def by_one(self, do: Callable[[Connection], T]) -> T:
        """What `do` does in one transaction, anew where somebody else was first."""
        for attempt in range(_TRIES):
            try:
                return self._once(do)
            except Forestalled:
                time.sleep(random.uniform(0, 0.005 * (attempt + 1)))  # noqa: S311 - no secret
        raise Away("others change it all the time")

    def _once(self, do: Callable[[Connection], T]) -> T:
        """The same once, by the first member that takes it."""
        import sqlalchemy as sa

        failures = database_errors()
        with self._turn:
            self._engines = self._engines or self._made()
            cause = ""
            for _ in self._engines:
                try:
                    return self._within(self._engines[self._member], do)
                except sa.exc.IntegrityError:
                    raise Forestalled from None
                except failures as error:
                    if forestalled(error):
                        raise Forestalled from None
                    cause = " ".join(str(getattr(error, "orig", None) or error).split())[:200]
                    self._member = (self._member + 1) % len(self._engines)
        raise Away(cause)

    def _made(self) -> list[Database]:
        others = bool(self._members[1:])
        patience = PATIENCE if others else READ_TIMEOUT
        members = self._members
        return [audit_engine(m, self._sqlite, patience=patience, causal=others) for m in members]

    def _within(self, engine: Database, do: Callable[[Connection], T]) -> T:
        if self._member not in self._ready:
            if self._members == (None,):
                make_file(self._sqlite)
            with engine.connect() as connection:
                upgrade(connection)
            if self._members != (None,) and self._sqlite.is_file():
                with engine.begin() as connection:
                    self._take_over(connection)
            self._ready.add(self._member)
        with engine.begin() as connection:
            return do(connection)

    def _take_over(self, connection: Connection) -> None:
        """Let the database have what the one instance kept in SQLite, before the stack had MariaDB."""


class Forestalled(Exception):
    """Somebody else changed first what a decision rests on."""
