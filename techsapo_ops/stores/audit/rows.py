"""Rows of the audit database that costs are summed up from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stores.audit.migrate import upgrade
from techsapo_ops.stores.audit.server import AuditServer
from techsapo_ops.stores.audit.spool import DRILL
from techsapo_ops.stores.audit.tables import audit_engine, audit_tables, database_errors

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the audit log; `day` is the UTC date."""

    day: str
    cost_usd: float
    cache: str
    simulated: bool

    @property
    def asked(self) -> bool:
        """Whether somebody asked: not of a row that carries what was spent over a restore."""
        return bool(self.cache)


@dataclass(frozen=True, slots=True)
class Call:
    """All calls of one provider's model on one day."""

    provider: str
    model: str
    day: str
    calls: int
    failed: int
    tokens_input: int
    tokens_output: int
    cost_usd: float


@dataclass(frozen=True, slots=True)
class Rows:
    """What a report is made of; as JSON it travels from where the database can be reached."""

    requests: tuple[Request, ...] = ()
    calls: tuple[Call, ...] = ()

    def __add__(self, other: Rows) -> Rows:
        return Rows(self.requests + other.requests, self.calls + other.calls)

    def to_json(self) -> dict[str, Any]:
        """As plain data: a list of values for each."""
        return {
            "requests": [list(astuple(r)) for r in self.requests],
            "calls": [list(astuple(c)) for c in self.calls],
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Rows:
        """What `to_json` made. Raises LookupError or TypeError for anything else."""
        return Rows(tuple(Request(*r) for r in value["requests"]), tuple(Call(*c) for c in value["calls"]))


def read_rows(mysql: AuditServer | None, databases: Sequence[Path], since: datetime) -> Rows:
    """What a report of costs needs of MySQL, or of SQLite files. Raises OpsError."""
    requests: list[Request] = []
    calls: list[Call] = []

    def read(connection: Connection) -> None:
        _read(connection, since, requests, calls)

    from_each(mysql, databases, read)
    return Rows(tuple(requests), tuple(calls))


def read_drill_rows(mysql: AuditServer | None, databases: Sequence[Path], prefix: str) -> Counter[str]:
    """How many rows the drill has whose request ids begin with `prefix`, by id. Raises OpsError."""
    import sqlalchemy as sa

    found: Counter[str] = Counter()
    table, _ = audit_tables()
    wanted = sa.select(table.c.request_id).where(
        table.c.task_type == DRILL, table.c.request_id.startswith(prefix, autoescape=True)
    )

    def read(connection: Connection) -> None:
        found.update(str(name) for (name,) in connection.execute(wanted))

    from_each(mysql, databases, read)
    return found


def from_each(
    mysql: AuditServer | None, databases: Sequence[Path], read: Callable[[Connection], None]
) -> None:
    """Have `read` read MySQL, or each of the SQLite files. Raises OpsError."""
    for sqlite in [Path()] if mysql else databases:
        try:
            with_connection(mysql, sqlite, read)
        except database_errors() as error:
            cause = " ".join(str(getattr(error, "orig", None) or error).split())[:200]
            raise OpsError(
                msg("the audit database can't be read: {cause}", cause=cause),
                msg("`techsapo health` says more"),
            ) from None


def with_connection(mysql: AuditServer | None, sqlite: Path, read: Callable[[Connection], T]) -> T:
    """What `read` reads of the one database, of a cluster from the first member that answers.

    Raises SQLAlchemyError or OSError.
    """
    members: tuple[AuditServer | None, ...] = mysql.members if mysql is not None else (None,)
    for member in members[:-1]:
        try:
            return _with_connection(member, sqlite, read, causal=True)
        except database_errors():
            continue
    return _with_connection(members[-1], sqlite, read, causal=len(members) > 1)


def _with_connection(
    server: AuditServer | None, sqlite: Path, read: Callable[[Connection], T], *, causal: bool
) -> T:
    engine = audit_engine(server, sqlite, causal=causal)
    try:
        with engine.connect() as connection:
            upgrade(connection)
            return read(connection)
    finally:
        engine.dispose()


def _read(connection: Connection, since: datetime, requests: list[Request], calls: list[Call]) -> None:
    import sqlalchemy as sa

    table, called = audit_tables()
    wanted = (table.c.time, table.c.cost_usd, table.c.cache, table.c.simulated)
    found = connection.execute(
        sa.select(*wanted).where(table.c.time >= naive(since), table.c.task_type != DRILL)
    ).all()
    requests += [
        Request(r.time.strftime("%Y-%m-%d"), float(r.cost_usd), r.cache, bool(r.simulated)) for r in found
    ]
    day = sa.func.date(called.c.time)
    grouped = (called.c.provider, called.c.model, day)
    summed_up = connection.execute(
        sa.select(
            called.c.provider,
            called.c.model,
            day.label("day"),
            sa.func.count().label("calls"),
            sa.func.sum(sa.case((called.c.status == "success", 0), else_=1)).label("failed"),
            sa.func.sum(called.c.tokens_input).label("tokens_input"),
            sa.func.sum(called.c.tokens_output).label("tokens_output"),
            sa.func.sum(called.c.cost_usd).label("cost_usd"),
        )
        .where(called.c.time >= naive(since))
        .group_by(*grouped)
    ).all()
    calls += [
        Call(
            c.provider, c.model, str(c.day), int(c.calls), int(c.failed), int(c.tokens_input),
            int(c.tokens_output), float(c.cost_usd),
        )
        for c in summed_up
    ]  # fmt: skip


def naive(moment: datetime) -> datetime:
    """As the database has times: UTC, which it does not say."""
    return moment.astimezone(UTC).replace(tzinfo=None)
