"""What the audit database says of costs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from techsapo_ops.stores.audit.database import AuditServer
from techsapo_ops.stores.audit.rows import Call, Requests, Rows, naive, read_rows, with_connection
from techsapo_ops.stores.audit.store import RESTORED, audit_tables, spent_table
from techsapo_ops.stores.budget_ledger import NANO

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Select

_NAMED = 500
"""Ids in one list of a statement."""
By = Literal["provider", "model", "day"]


@dataclass(frozen=True, slots=True)
class Cost:
    """Calls and USD of one provider, model or day; on a day also the requests."""

    name: str
    requests: int
    calls: int
    failed: int
    tokens_input: int
    tokens_output: int
    cost_usd: float


@dataclass(frozen=True, slots=True)
class Report:
    """Costs since `since`."""

    since: datetime
    total_usd: float
    simulated_usd: float
    """The part of `total_usd` that simulated providers pretended to charge."""
    requests: int
    cached: int
    rows: tuple[Cost, ...]


def spent_since(
    mysql: AuditServer | None,
    sqlite: Path,
    since: datetime,
    key_id: str | None,
    *,
    simulated: bool = True,
    without: Sequence[str] = (),
) -> float:
    """USD charged since `since`, of one API key or, with None, of all; `simulated` money too, or not.

    The rows with the ids `without` are left out: those that are counted elsewhere. Whole hours are read from
    their sums, row by row only what lies before the first of them, and what no sum has.
    Raises SQLAlchemyError or OSError.
    """
    import sqlalchemy as sa

    if mysql is None and not sqlite.exists():
        return 0.0
    requests, spent = audit_tables()[0], spent_table()
    begin = naive(since)
    hour = (begin + timedelta(hours=1, microseconds=-1)).replace(minute=0, second=0, microsecond=0)
    summed = sa.select(sa.func.sum(spent.c.nano)).where(
        spent.c.key_id == (key_id or ""), spent.c.hour >= f"{hour:%Y-%m-%d %H}"
    )
    if not simulated:
        summed = summed.where(spent.c.simulated == sa.false())
    rows = sa.select(sa.func.sum(requests.c.cost_usd)).where(*charged(since, key_id, simulated=simulated))
    restored = requests.c.id.between(RESTORED, RESTORED + "g")  # what follows is hexadecimal
    before = rows.where(requests.c.time < hour, ~restored)
    elsewhere = (without[n : n + _NAMED] for n in range(0, len(without), _NAMED))

    def read(connection: Connection) -> float:
        def usd(wanted: Select[tuple[Any]]) -> float:
            return float(connection.execute(wanted).scalar() or 0.0)

        counted = usd(summed) / NANO + usd(rows.where(restored)) + (usd(before) if hour > begin else 0.0)
        return counted - sum(usd(rows.where(requests.c.id.in_(ids))) for ids in elsewhere)

    return with_connection(mysql, sqlite, read)


def charged(since: datetime, key_id: str | None, *, simulated: bool) -> list[ColumnElement[bool]]:
    """What holds of the requests that `spent_since` is about."""
    import sqlalchemy as sa

    requests, _ = audit_tables()
    conditions: list[ColumnElement[bool]] = [requests.c.time >= naive(since)]
    if key_id is not None:
        conditions.append(requests.c.key_id == key_id)
    if not simulated:
        conditions.append(requests.c.simulated == sa.false())
    return conditions


def oldest(mysql: AuditServer | None, sqlite: Path) -> datetime | None:
    """The time of the oldest row; None where there is none. Raises SQLAlchemyError or OSError."""
    import sqlalchemy as sa

    if mysql is None and not sqlite.exists():
        return None
    requests, _ = audit_tables()

    def read(connection: Connection) -> datetime | None:
        first: datetime | None = connection.execute(sa.select(sa.func.min(requests.c.time))).scalar()
        return None if first is None else first.replace(tzinfo=UTC)

    return with_connection(mysql, sqlite, read)


def report(mysql: AuditServer | None, databases: Sequence[Path], since: datetime, by: By) -> Report:
    """Costs since `since` from MySQL, or from each instance's SQLite file. Raises OpsError."""
    return summed(read_rows(mysql, databases, since), since, by)


def summed(rows: Rows, since: datetime, by: By) -> Report:
    """The costs that `rows`, which begin at `since`, amount to."""
    requests, calls = rows.requests, rows.calls
    return Report(
        since=since,
        total_usd=sum(r.cost_usd for r in requests),
        simulated_usd=sum(r.cost_usd for r in requests if r.simulated),
        requests=sum(r.count for r in requests if r.asked),
        cached=sum(r.count for r in requests if r.cache == "hit"),
        rows=_by_day(requests, calls) if by == "day" else _by(by, calls),
    )


def _sum(name: str, calls: Sequence[Call], requests: int = 0, cost: float | None = None) -> Cost:
    return Cost(
        name=name,
        requests=requests,
        calls=sum(c.calls for c in calls),
        failed=sum(c.failed for c in calls),
        tokens_input=sum(c.tokens_input for c in calls),
        tokens_output=sum(c.tokens_output for c in calls),
        cost_usd=sum(c.cost_usd for c in calls) if cost is None else cost,
    )


def _by(by: Literal["provider", "model"], calls: Sequence[Call]) -> tuple[Cost, ...]:
    groups: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        groups[str(getattr(call, by))].append(call)
    return tuple(sorted((_sum(n, c) for n, c in groups.items()), key=lambda c: -c.cost_usd))


def _by_day(requests: Sequence[Requests], calls: Sequence[Call]) -> tuple[Cost, ...]:
    days: dict[str, list[Requests]] = defaultdict(list)
    for request in requests:
        days[request.day].append(request)
    return tuple(
        _sum(
            day,
            [c for c in calls if c.day == day],
            sum(r.count for r in those if r.asked),
            sum(r.cost_usd for r in those),
        )
        for day, those in sorted(days.items())
    )
