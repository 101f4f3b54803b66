"""The audit log: a thread of its own writes rows, in batches; while that fails they wait on disk."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stores.audit.costs import Report, oldest, report, spent_since
from techsapo_ops.stores.audit.database import AuditServer, database_errors
from techsapo_ops.stores.audit.earlier import EarlierRows, spent_earlier
from techsapo_ops.stores.audit.spool import DRILL, NAME, AuditRow, Spool, Spools
from techsapo_ops.stores.audit.store import AuditStore, ClusterStore
from techsapo_ops.stores.audit.transit import BATCH, MAYBE_WRITTEN, RETRY, Condition, Intake, Replay

log = logging.getLogger("techsapo.audit")

PROBE = 15.0
"""Seconds between signs of life asked of an idle database."""
MAX_HELD = 50_000
"""Rows kept in memory while neither the database nor the disk takes them."""


AuditInUse = Literal["mysql", "sqlite"]


@dataclass(frozen=True, slots=True)
class AuditStatus:
    """Which database the audit log uses and how it does; `waiting` rows are in memory, `spooled` on disk."""

    in_use: AuditInUse
    healthy: bool
    detail: str
    consecutive_errors: int
    waiting: int
    spooled: int


class Unreadable(Exception):
    """The audit log can't be read now."""


class AuditLog:
    """Takes rows from any thread without blocking.

    `written` counts, from any thread, how many rows were written ("success") or had to wait ("error"). Rows
    are gathered for `flush_interval` seconds into a batch. The database is MySQL/MariaDB where `mysql` is
    given, else audit.sqlite in `directory`, which also holds the spool.

    Each row is in the spool, on disk, before `put`'s future says so, and the spool is what batches are made
    of: whether the database is quick, slow or away, an answer waits for this disk alone. In a cluster of
    databases rows stay in the spool until they are read back.
    Raises OpsError when the spool of an earlier run can't be read.
    """

    def __init__(
        self,
        mysql: AuditServer | None,
        directory: Path,
        written: Callable[[Literal["success", "error"], int], None] = lambda _status, _rows: None,
        *,
        flush_interval: float = 0.2,
    ) -> None:
        self._mysql = mysql
        self._directory = directory
        self._sqlite = directory / "audit.sqlite"
        clustered = mysql is not None and bool(mysql.others)
        try:
            self._spools = Spools(directory) if clustered else None
            file = self._spools.own if self._spools is not None else directory / NAME
            self._spool = Spool(file)
        except OSError as error:
            raise OpsError(
                msg(
                    "cannot read {directory}: {strerror}",
                    directory=directory / NAME,
                    strerror=error.strerror,
                ),
                msg("check who owns it"),
            ) from None
        self._written = written
        self._flush_interval = flush_interval
        self._queue: queue.SimpleQueue[AuditRow | Literal["wake"] | None] = queue.SimpleQueue()
        self._intake = Intake(self._spool, self._wake, self._refused)
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._where = (
            msg("{database} on {place}", database=mysql.database, place=mysql.place)
            if mysql
            else "audit.sqlite"
        )
        self._condition = Condition(self._where)
        self._closing = threading.Event()
        self._spooled = self._spool.rows
        self._counted = self._spooled
        """Rows in the spool that `written` has counted."""
        self._held: list[AuditRow] = []

    def start(self) -> None:
        """Start the writer."""
        self._thread.start()
        self._intake.start()

    def put(self, row: AuditRow) -> Future[bool]:
        """Hand a row over; returns at once.

        The future holds whether the row is on disk or in the database: not where neither takes it, though
        it is tried on from memory.
        """
        return self._intake.put(row)

    def close(self, timeout: float = 10.0) -> None:
        """Write or spool what is waiting and stop, within `timeout` seconds."""
        started = time.monotonic()
        self._closing.set()
        self._intake.close(timeout)
        self._queue.put(None)
        self._thread.join(max(0.0, started + timeout - time.monotonic()))
        if self._thread.is_alive():
            log.error("The audit writer did not stop in time", extra={"waiting": self._queue.qsize()})

    def costs_since(self, since: datetime) -> Report:
        """Costs since `since` by provider. Blocks: call it in a thread. Raises OpsError."""
        return report(self._mysql, [self._sqlite], since, "provider")

    def spent_since(self, since: datetime, key_id: str | None, *, simulated: bool = True) -> float:
        """USD charged since `since`, of one API key or, with None, of all; rows that wait on disk included.

        Without `simulated` only what real providers charged. Blocks: call it in a thread. Raises Unreadable,
        with a line in the log, while the database can't be read.
        """
        try:
            waiting = {
                row.id: row.cost_usd
                for row in self._spool.read()
                if row.time >= since and key_id in (None, row.key_id) and (simulated or not row.simulated)
            }
            if self._mysql is not None:
                waiting |= spent_earlier(self._sqlite, since, key_id, simulated=simulated)
            written = spent_since(
                self._mysql,
                self._sqlite,
                since,
                key_id,
                simulated=simulated,
                without=tuple(waiting)[:MAYBE_WRITTEN],
            )
        except database_errors() as error:
            cause = " ".join(str(getattr(error, "orig", None) or error).split())[:200]
            log.error(
                "Costs of earlier requests can't be read",
                extra={"database": self._where, "error": cause},
            )
            raise Unreadable from None
        return written + sum(waiting.values())

    def first(self) -> datetime | None:
        """When the oldest row was written; None without any. Blocks. Raises Unreadable."""
        try:
            return oldest(self._mysql, self._directory / "audit.sqlite")
        except database_errors():
            raise Unreadable from None

    @property
    def consecutive_errors(self) -> int:
        """Operations that failed in a row."""
        return self._condition.errors

    @property
    def alive(self) -> bool:
        """Whether the writer runs."""
        return self._thread.is_alive() and self._intake.alive

    def status(self) -> AuditStatus:
        """How the audit log does now."""
        healthy = self.alive and self._condition.well
        return AuditStatus(
            in_use="mysql" if self._mysql else "sqlite",
            healthy=healthy,
            detail=self._where if healthy else f"{self._where}: {self._condition.last_error}",
            consecutive_errors=self._condition.errors,
            waiting=self._intake.waiting() + len(self._held),
            spooled=self._spooled,
        )

    def _run(self) -> None:
        spool = self._spool
        store: AuditStore | ClusterStore
        if self._mysql is not None and self._mysql.others:
            store = ClusterStore(self._mysql)
        else:
            store = AuditStore(self._mysql, self._sqlite)
        replay = Replay(spool, self._inserting(store), self._dropped, store)
        self._take_over()
        earlier = EarlierRows(self._sqlite, self._inserting(store)) if self._mysql is not None else None
        self._probe(store)
        probed = time.monotonic()
        open_ = True
        while open_:
            rows, open_ = self._gather()
            if rows or self._held:
                self._deliver(store, spool, rows)
            if spool.rows and self._condition.due:
                replay.run()
            while earlier is not None and not earlier.over and self._queue.empty() and self._condition.due:
                self._go_on(earlier)
            if self._condition.errors or time.monotonic() - probed >= PROBE:
                self._take_over()
                if self._condition.due:
                    self._probe(store)
                probed = time.monotonic()
            unwritten = spool.rows - replay.written
            if self._condition.errors and (new := unwritten - self._counted) > 0:
                self._written("error", new)
                self._counted += new
            # All rows pass through the spool; those are meant that the database keeps waiting.
            self._spooled = spool.rows if self._condition.errors or replay.overdue else 0
        replay.finish()
        store.close()
        with suppress(OSError):  # an empty file is as good
            spool.close()
        if self._spools is not None:
            self._spools.close()

    def _go_on(self, earlier: EarlierRows) -> None:
        """Write some more of the history in SQLite. Where that can't be read, it stays there alone."""
        try:
            earlier.go_on()
        except database_errors() as error:
            earlier.over = True
            log.error(
                "The audit rows in SQLite can't be imported; they stay in their file",
                extra={"file": str(self._sqlite), "error": str(error)[:200]},
            )

    def _take_over(self) -> None:
        """Bring what an earlier process of this instance left into this one's spool."""
        try:
            for file in self._spools.left() if self._spools is not None else ():
                rows, after = (left := Spool(file)).batch(0, BATCH)
                while rows:
                    self._spool.append(rows)
                    rows, after = left.batch(after, BATCH)
                file.unlink()
        except OSError as error:
            log.error(
                "Audit rows of an earlier process can't be taken over; they stay on disk",
                extra={"directory": str(self._directory), "error": error.strerror},
            )

    def _wake(self) -> None:
        """The spool has rows."""
        self._queue.put("wake")

    def _refused(self, rows: list[AuditRow]) -> None:
        """The disk does not take rows; the database may."""
        for row in rows:
            self._queue.put(row)

    def _gather(self) -> tuple[list[AuditRow], bool]:
        """Wait for rows; False with the last ones.

        After the first one they gather while this thread sleeps: waking it for each row would cost the
        thread that hands it over more than anything else it does for the row.
        """
        rows: list[AuditRow] = []
        try:
            more = self._spool.rows and not self._condition.errors
            row = self._queue.get(timeout=max(self._flush_interval, 0.001) if more else RETRY)
            if self._queue.qsize() < BATCH:
                self._closing.wait(self._flush_interval)
            while row is not None:
                if row != "wake":
                    rows.append(row)
                if len(rows) == BATCH:
                    return rows, True
                row = self._queue.get_nowait()
        except queue.Empty:
            return rows, True
        return rows, False

    def _deliver(self, store: AuditStore | ClusterStore, spool: Spool, rows: list[AuditRow]) -> None:
        new = len(rows)
        rows = self._held + rows
        self._held = []
        if self._condition.due and self._insert(store.insert_for_good, rows):
            return
        self._written("error", new)
        try:
            spool.append(rows)
            self._counted += len(rows)
            self._intake.tell(rows, stored=True)
        except OSError as error:
            self._intake.tell(rows, stored=False)
            self._held = rows[-MAX_HELD:]
            lost = len(rows) - len(self._held)
            log.error(
                "Audit rows can't be spooled to disk",
                extra={"file": str(spool.path), "error": error.strerror, "held": len(rows), "lost": lost},
            )

    def _dropped(self, rows: int, failure: Exception | None) -> None:
        if failure is not None:
            # What is written a second time at the next start makes no second row.
            log.error("Written audit rows can't be removed from the spool", extra={"error": str(failure)})
            self._condition.pause()
        if self._counted:
            log.info("Spooled audit rows were written", extra={"rows": rows})
        self._counted = max(0, self._counted - rows)

    def _probe(self, store: AuditStore | ClusterStore) -> None:
        try:
            store.ping()
        except database_errors() as error:
            self._condition.failed(error)
        else:
            self._condition.worked()

    def _inserting(self, store: AuditStore | ClusterStore) -> Callable[[list[AuditRow]], bool]:
        return lambda rows: self._insert(store.insert, rows)

    def _insert(self, insert: Callable[[list[AuditRow]], None], rows: list[AuditRow]) -> bool:
        try:
            insert(rows)
        except database_errors() as error:
            self._condition.failed(error)
            return False
        self._condition.worked()
        self._intake.tell(rows, stored=True)
        self._written("success", sum(row.task_type != DRILL for row in rows))
        return True
