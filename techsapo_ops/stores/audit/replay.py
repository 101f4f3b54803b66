"""Rows of the spool on their way into the database, which they leave the disk for."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from techsapo_ops.errors import OpsError
from techsapo_ops.stores.audit.cluster import ClusterStore
from techsapo_ops.stores.audit.spool import AuditRow, Spool
from techsapo_ops.stores.audit.tables import AuditStore, database_errors

log = logging.getLogger("techsapo.audit")

BATCH = 500
AGAIN = 5.0
"""Seconds until that is tried once more where it failed."""
OVERDUE = 30.0
"""Seconds after which it is told that they were not seen elsewhere yet."""
MAYBE_WRITTEN = 5_000
"""How many rows of the spool, from its start, may be in the database as well, from just before a kill -9."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """Rows that the member `writer` took: `end` is where they end in the spool."""

    end: int
    ids: tuple[str, ...]
    writer: int
    at: float


class Replay:
    """Brings what is in `spool` into the database by `insert`, which says whether it is there.

    Rows leave the spool when `store` lacks none of them: at once where one database keeps what it took, in a
    cluster when others than the member that took them show them. `dropped` is told how many rows left the
    spool, and whether the disk let them.
    """

    def __init__(
        self,
        spool: Spool,
        insert: Callable[[list[AuditRow]], bool],
        dropped: Callable[[int, Exception | None], None],
        store: AuditStore | ClusterStore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spool = spool
        self._insert = insert
        self._dropped = dropped
        self._store = store
        self._clock = clock
        self._sent: deque[_Sent] = deque()
        self._after = 0
        """Where the spool's rows begin that were not written yet."""
        self._told = False
        self._look_at = 0.0

    @property
    def written(self) -> int:
        """How many rows of the spool are written, and wait to be seen."""
        return sum(len(each.ids) for each in self._sent)

    @property
    def overdue(self) -> bool:
        """Whether rows that were written have waited too long to be seen."""
        return bool(self._sent) and self._clock() - self._sent[0].at > OVERDUE

    def run(self) -> None:
        """Look for what was written a moment ago, and write what was not yet."""
        if self._clock() >= self._look_at:
            self._look(self._clock() - self._store.settles)
        self._write()
        if not self._store.settles:
            self._look(self._clock())

    def _write(self) -> None:
        room = MAYBE_WRITTEN - self.written
        while room > 0:
            rows, end = self._spool.batch(self._after, min(BATCH, room))
            if not rows or not self._insert(rows):
                return
            self._after = end
            self._sent.append(_Sent(end, tuple(row.id for row in rows), self._store.member, self._clock()))
            room -= len(rows)

    def finish(self) -> None:
        """Look for all that was written; what is not seen is written once more at the next start."""
        self._look(self._clock())

    def _look(self, before: float) -> None:
        while self._sent and self._sent[0].at <= before:
            first = self._sent[0]
            together = [first]
            for each in list(self._sent)[1:]:
                if each.writer != first.writer or each.at > before:
                    break
                together.append(each)
            ids = [id_ for each in together for id_ in each.ids]
            try:
                missing = self._store.lacking(ids, first.writer)
            except database_errors() as error:
                self._wait(error)
                return
            if missing:
                log.warning(
                    "Audit rows are not in the cluster that a member took; they are written again",
                    extra={"rows": len(missing)},
                )
                self._sent.clear()
                self._after = 0
                self._look_at = self._clock() + AGAIN
                return
            self._told = False
            for _ in together:
                self._sent.popleft()
            self._forget(together[-1].end, len(ids))

    def _forget(self, end: int, rows: int) -> None:
        failure: Exception | None = None
        moved = 0
        try:
            moved = self._spool.drop(end, rows, closely=self._store.settles > 0)
        except (OSError, OpsError) as error:
            failure = error
        self._dropped(rows, failure)
        self._after -= moved
        self._sent = deque(replace(each, end=each.end - moved) for each in self._sent)

    def _wait(self, error: Exception) -> None:
        self._look_at = self._clock() + AGAIN
        if self.overdue and not self._told:
            self._told = True
            cause = getattr(error, "orig", None) or error
            log.error(
                "Audit rows can't be read back from another member of the cluster; they stay on disk",
                extra={"error": " ".join(str(cause).split())[:200]},
            )
