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
from techsapo_ops.stores.audit.database import AuditServer, audit_engine, database_errors
from techsapo_ops.stores.audit.migrate import upgrade
from techsapo_ops.stores.audit.spool import DRILL
from techsapo_ops.stores.audit.store import audit_tables

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Requests:
    """The requests of one day (UTC) that are alike: `count` of them, and what they cost together."""

    day: str
    cost_usd: float
    cache: str
    simulated: bool
    count: int = 1

    @property
    def asked(self) -> bool:
        """Whether somebody asked: not of rows that carry what was spent over a restore."""
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

    requests: tuple[Requests, ...] = ()
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
        return Rows(tuple(Requests(*r) for r in value["requests"]), tuple(Call(*c) for c in value["calls"]))


def read_rows(mysql: AuditServer | None, databases: Sequence[Path], since: datetime) -> Rows:
    """What a report of costs needs of MySQL, or of SQLite files. Raises OpsError."""
    return sum(from_each(mysql, databases, lambda connection: _read(connection, since)), Rows())


def read_drill_rows(mysql: AuditServer | None, databases: Sequence[Path], prefix: str) -> Counter[str]:
    """How many rows the drill has whose request ids begin with `prefix`, by id. Raises OpsError."""
    import sqlalchemy as sa

    table, _ = audit_tables()
    wanted = sa.select(table.c.request_id).where(
        table.c.task_type == DRILL, table.c.request_id.startswith(prefix, autoescape=True)
    )
    per_database = from_each(mysql, databases, lambda connection: connection.execute(wanted).scalars().all())
    return Counter(str(name) for names in per_database for name in names)


def from_each(
    mysql: AuditServer | None, databases: Sequence[Path], read: Callable[[Connection], T]
) -> list[T]:
    """What `read` reads of MySQL, or of each of the SQLite files. Raises OpsError."""
    values = []
    for sqlite in [Path()] if mysql else databases:
        try:
            values.append(with_connection(mysql, sqlite, read))
        except database_errors() as error:
            cause = " ".join(str(getattr(error, "orig", None) or error).split())[:200]
            raise OpsError(
                msg("the audit database can't be read: {cause}", cause=cause),
                msg("for details, run `techsapo health`"),
            ) from None
    return values


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


def _read(connection: Connection, since: datetime) -> Rows:
    import sqlalchemy as sa

    table, called = audit_tables()
    alike = (sa.func.date(table.c.time), table.c.cache, table.c.simulated)
    requests = connection.execute(
        sa.select(*alike, sa.func.sum(table.c.cost_usd), sa.func.count())
        .where(table.c.time >= naive(since), table.c.task_type != DRILL)
        .group_by(*alike)
    ).all()
    grouped = (called.c.provider, called.c.model, sa.func.date(called.c.time))
    calls = connection.execute(
        sa.select(
            *grouped,
            sa.func.count(),
            sa.func.sum(sa.case((called.c.status == "success", 0), else_=1)),
            sa.func.sum(called.c.tokens_input),
            sa.func.sum(called.c.tokens_output),
            sa.func.sum(called.c.cost_usd),
        )
        .where(called.c.time >= naive(since))
        .group_by(*grouped)
    ).all()
    return Rows(
        tuple(
            Requests(str(day), float(usd), cache, bool(simulated), int(count))
            for day, cache, simulated, usd, count in requests
        ),
        tuple(
            Call(
                provider,
                model,
                str(day),
                int(count),
                int(failed),
                int(tokens_in),
                int(tokens_out),
                float(usd),
            )
            for provider, model, day, count, failed, tokens_in, tokens_out, usd in calls
        ),
    )


def naive(moment: datetime) -> datetime:
    """As the database has times: UTC, which it does not say."""
    return moment.astimezone(UTC).replace(tzinfo=None)
