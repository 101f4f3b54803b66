"""Brings the audit database to the schema that the app works with, and its app's rights to what that needs.

The app can do neither: its account adds rows and reads them. So `up` and `restore` do it from outside, by the
server's own client, which works wherever that runs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from techsapo_ops.adapters.process import Runner
from techsapo_ops.services.mysql.accounts import adding, hosts_of, literal, name, narrowed
from techsapo_ops.services.mysql.contents import revision
from techsapo_ops.services.mysql.kind import Mysql as MysqlKind
from techsapo_ops.services.mysql.session import Doors, Passing, Session, session
from techsapo_ops.spec.models.servers import Mysql
from techsapo_ops.stack.engine import Access
from techsapo_ops.stack.observed import stopped_of
from techsapo_ops.stack.stack import Following
from techsapo_ops.stack.topology import Topology
from techsapo_ops.stores.audit.migrate import LOCK, sql_from

_LOCK_SECONDS = 30
_PATIENCE = 120.0
"""Seconds for which members of a cluster may be busy with each other: at the first start each copies all."""
_PAUSE = 2.0


@dataclass(frozen=True, slots=True)
class AuditDatabase(Following):
    """What follows where MariaDB is ready, and where all runs; `runner` is the door to its client."""

    runner: Runner
    _turn: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)
    """Members of a cluster have one schema, get ready side by side, and GET_LOCK is of one member alone."""

    def ready(self, access: Access, topology: Topology, service: str) -> None:
        """Run the migrations that it lacks, by their own account, before the app that needs them starts.

        Its account may add rows to the tables from then on.
        """
        server, mysql = topology.find(service), topology.spec.mysql
        if server is None or server.kind != MysqlKind.facts.kind or mysql is None:
            return
        doors = Doors(access, topology, self.runner)
        with self._turn:
            _patiently(topology, lambda: _bring(doors, topology, mysql))

    def settled(self, access: Access, topology: Topology) -> None:
        """Leave the app's account SELECT, and INSERT on its tables."""
        mysql = topology.spec.mysql
        stopped = stopped_of(topology.layout)
        if mysql is None or not any(s.name not in stopped for s in topology.of_kind(MysqlKind.facts.kind)):
            return
        sql = narrowed(mysql, hosts_of(from_images=topology.places.from_images))
        doors = Doors(access, topology, self.runner)
        _patiently(topology, lambda: _ask_each(doors, sql))


def _patiently(topology: Topology, work: Callable[[], None]) -> None:
    """Do `work`; of a cluster again while what keeps it may pass. On one host it is another session."""
    members = topology.of_kind(MysqlKind.facts.kind)
    until = time.monotonic() + (_PATIENCE if len(members) > 1 else 0.0)
    while True:
        try:
            work()
        except Passing:
            if time.monotonic() >= until:
                raise
            time.sleep(_PAUSE)
        else:
            return


def _ask_each(doors: Doors, statements: Iterable[str]) -> None:
    with session(doors.administrator()) as asking:
        for statement in statements:
            asking.ask(statement)


def _bring(doors: Doors, topology: Topology, mysql: Mysql) -> None:
    grants = adding(mysql, hosts_of(from_images=topology.places.from_images))
    with session(doors.administrator()) as asking:
        sql = _lacking(asking, mysql.database)
        for grant in () if sql else grants:
            asking.ask(grant)
    if not sql:
        return
    with session(doors.migrations(mysql)) as migrating:
        migrating.ask(f"USE {name(mysql.database)}")
        # Another `up` may be at the same.
        migrating.ask(f"SELECT GET_LOCK({literal(LOCK)}, {_LOCK_SECONDS})")
        migrating.ask(_lacking(migrating, mysql.database) or "DO 0")
    _ask_each(doors, grants)


def _lacking(asking: Session, database: str) -> str:
    """SQL for what `database` lacks; empty where it lacks nothing."""
    return sql_from(revision(asking, database)).rstrip("; \n")
