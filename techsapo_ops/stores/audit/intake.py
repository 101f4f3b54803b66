"""Audit rows on their way to disk, before anybody is told that they are written."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError

from techsapo_ops.stores.audit.spool import AuditRow, Spool

log = logging.getLogger("techsapo.audit")

MOST = 500
TOGETHER = 0.002
"""Seconds in which rows gather after the first one: one flush of the disk is for all of them, and one waking
of this thread, which costs the thread that hands a row over more than anything else."""


class Intake:
    """Takes rows from any thread without blocking; a thread of its own puts them into `spool`.

    `landed` is called after rows came to a spool that was empty, `refused` with those that the disk does not
    take; both by that thread. Whoever calls it then says by `tell` what became of them.
    """

    def __init__(
        self, spool: Spool, landed: Callable[[], None], refused: Callable[[list[AuditRow]], None]
    ) -> None:
        self._spool = spool
        self._landed = landed
        self._refused = refused
        self._queue: queue.SimpleQueue[AuditRow | None] = queue.SimpleQueue()
        self._asked: dict[str, Future[bool]] = {}
        self._thread = threading.Thread(target=self._run, name="audit intake", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def waiting(self) -> int:
        """Rows that were not looked at yet."""
        return self._queue.qsize()

    def put(self, row: AuditRow) -> Future[bool]:
        """Hand a row over. The future is told whether it is on disk, or in the database."""
        future: Future[bool] = Future()
        self._asked[row.id] = future
        self._queue.put(row)
        return future

    def tell(self, rows: list[AuditRow], *, kept: bool) -> None:
        """Say of rows whether a power cut leaves them; of those of which it was said already nothing."""
        for row in rows:
            future = self._asked.pop(row.id, None)
            if future is not None:
                _say(future, kept=kept)

    def close(self, timeout: float) -> None:
        """Put what waits on disk and stop, within `timeout` seconds."""
        self._queue.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        open_ = True
        while open_:
            rows, open_ = self._gather()
            if not rows:
                continue
            try:
                first = self._spool.append(rows)
            except OSError as error:
                log.error(
                    "Audit rows can't be put on disk",
                    extra={"file": str(self._spool.path), "error": error.strerror},
                )
                self._refused(rows)
                continue
            self.tell(rows, kept=True)
            if first:
                self._landed()

    def _gather(self) -> tuple[list[AuditRow], bool]:
        rows: list[AuditRow] = []
        row = self._queue.get()
        if row is not None:
            time.sleep(TOGETHER)
        try:
            while row is not None:
                rows.append(row)
                if len(rows) == MOST:
                    return rows, True
                row = self._queue.get_nowait()
        except queue.Empty:
            return rows, True
        return rows, False


def _say(future: Future[bool], *, kept: bool) -> None:
    try:
        future.set_result(kept)
    except InvalidStateError:
        return  # whoever waited for it has gone
