"""The audit tables in a cluster of MariaDBs: written by one member, read back from others."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from techsapo_ops.stores.audit.database import AuditServer, database_errors
from techsapo_ops.stores.audit.spool import AuditRow
from techsapo_ops.stores.audit.tables import AuditStore

log = logging.getLogger("techsapo.audit")

PATIENCE = 4.0
"""Seconds after which a member that says nothing is left for another one: a cluster needs half of that to do
without a member that it lost, and commits of the others wait for it. What it was asked for may be written."""
LOOK = 1.0
"""The same, when it is only looked whether the own host's member is back."""
FIRST_LOOK, LAST_LOOK = 5.0, 60.0
"""Seconds until that, doubled each time that it is not."""
REST = 15.0
"""Seconds for which a member that could not be asked is asked after the others."""
SETTLED = 1.0
"""Seconds after which rows are looked for that a member took."""
_DEADLOCK = 1213
"""What a commit is told that lost against another one of the cluster, by MariaDB's ER_LOCK_DEADLOCK."""


class ClusterStore:
    """Writes audit rows; made and used by one thread. Methods raise SQLAlchemyError or OSError.

    One member takes them: the first of `server`, else the next that does, until the first one is back.
    """

    settles = SETTLED

    def __init__(self, server: AuditServer, clock: Callable[[], float] = time.monotonic) -> None:
        self._names = [each.place for each in server.members]
        self._members = [AuditStore(each, Path(), patience=PATIENCE, causal=True) for each in server.members]
        self._first = AuditStore(server.members[0], Path(), patience=LOOK, causal=True)
        self._clock = clock
        self._wait = FIRST_LOOK
        self._look_at = 0.0
        self._failed_at = [float("-inf")] * len(self._members)
        self.member = 0
        """The number of the member that takes the rows."""

    def insert(self, rows: list[AuditRow]) -> None:
        """Write rows in one transaction of the first member that takes them; those that are there stay."""
        self._by_one(lambda member: _insert(member, rows))

    def insert_for_good(self, rows: list[AuditRow]) -> None:
        """The same for rows that wait nowhere else: returns when they are read back from others, too."""
        import sqlalchemy as sa

        self.insert(rows)
        if self.lacking([row.id for row in rows], self.member):
            raise sa.exc.InvalidRequestError("rows that one member took are not in the cluster yet")

    def ping(self) -> None:
        """Make sure that a member answers and has the tables."""
        self._by_one(AuditStore.ping)

    def lacking(self, ids: Sequence[str], writer: int) -> set[str]:
        """Those of `ids` that are not in the cluster for good, after its member `writer` took them.

        A member alone may lose what it took: where it was cut off, or is lost itself, the others go on
        without. So each id has to be on as many members as one of which is in any majority: the writer and
        half of the others. Fewer are asked only where the cluster says that it has fewer. Raises what the
        last one that could not be asked did.
        """
        needed = len(self._members) // 2
        asked, missing = 0, set[str]()
        failure: Exception | None = None
        now = self._clock()
        # Those first that answered: one that hangs costs its patience, once in a while.
        for number in sorted(self._others(writer), key=lambda n: now - self._failed_at[n] < REST):
            if asked == needed:
                break
            try:
                missing |= set(ids) - self._members[number].known(ids)
                asked += 1
            except database_errors() as error:
                failure = error
                self._failed_at[number] = self._clock()
        if failure is not None and asked < needed and asked < self._size(writer) - 1:
            raise failure
        return missing if asked else set(ids) - self._members[writer].known(ids)

    def close(self) -> None:
        """Close the connections."""
        for store in (*self._members, self._first):
            store.close()

    def _size(self, number: int) -> float:
        """How many members the cluster of a member says that it has; infinite where it is not sure."""
        status = self._members[number].status()
        primary = status.get("wsrep_cluster_status") == "Primary"
        return int(status["wsrep_cluster_size"]) if primary else math.inf

    def _others(self, number: int) -> list[int]:
        count = len(self._members)
        return [(number + n) % count for n in range(1, count)]

    def _by_one(self, do: Callable[[AuditStore], None]) -> None:
        self._go_home()
        failure: Exception | None = None
        for number in (self.member, *self._others(self.member)):
            try:
                do(self._members[number])
            except database_errors() as error:
                failure = error
                self._failed_at[number] = self._clock()
                continue
            if number != self.member:
                self._go_to(number)
            return
        assert failure is not None  # noqa: S101 - a cluster has members
        raise failure

    def _go_to(self, number: int) -> None:
        log.warning(
            "Audit rows go to another member of the cluster",
            extra={"member": self._names[number], "instead_of": self._names[self.member]},
        )
        self.member, self._wait = number, FIRST_LOOK
        self._look_at = self._clock() + self._wait

    def _go_home(self) -> None:
        if self.member == 0 or self._clock() < self._look_at:
            return
        try:
            self._first.ping()
        except database_errors():
            self._wait = min(LAST_LOOK, 2 * self._wait)
            self._look_at = self._clock() + self._wait
            return
        log.info("Audit rows go to this host's member again", extra={"member": self._names[0]})
        self.member = 0


def _insert(member: AuditStore, rows: list[AuditRow]) -> None:
    import sqlalchemy as sa

    try:
        member.insert(rows)
    except sa.exc.OperationalError as error:
        if error.orig is None or error.orig.args[:1] != (_DEADLOCK,):
            raise
        member.insert(rows)
