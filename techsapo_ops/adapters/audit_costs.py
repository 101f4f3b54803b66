"""What the audit database says of costs."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from techsapo_ops.adapters.audit_migrate import upgrade
from techsapo_ops.adapters.audit_store import audit_engine, audit_tables
from techsapo_ops.errors import OpsError
from techsapo_ops.spec.models.data import Mysql

if TYPE_CHECKING:
    from sqlalchemy import Connection

ENOUGH = 20
"""Fewest requests from which a pair of providers is judged."""
T = TypeVar("T")
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
class Pair:
    """How two providers did together: mean confidence, the mean threshold they had to reach, mean cost."""

    providers: tuple[str, ...]
    requests: int
    confidence: float
    threshold: float
    accepted: float
    cost_usd: float

    @property
    def met(self) -> bool:
        """Whether their confidence reached the threshold on average."""
        return self.confidence >= self.threshold


@dataclass(frozen=True, slots=True)
class Report:
    """Costs since `since`; `recommended` is the cheapest pair with enough traffic that met its threshold."""

    since: datetime
    total_usd: float
    requests: int
    cached: int
    rows: tuple[Cost, ...]
    pairs: tuple[Pair, ...]
    recommended: Pair | None


def spent_since(mysql: Mysql | None, sqlite: Path, since: datetime, key_id: str | None) -> float:
    """USD charged since `since`, of one API key or, with None, of all. Raises SQLAlchemyError or OSError."""
    import sqlalchemy as sa

    if mysql is None and not sqlite.exists():
        return 0.0
    requests, _ = audit_tables()
    wanted = sa.select(sa.func.sum(requests.c.cost_usd)).where(requests.c.time >= _naive(since))
    if key_id is not None:
        wanted = wanted.where(requests.c.key_id == key_id)

    def read(connection: Connection) -> float:
        return float(connection.execute(wanted).scalar() or 0.0)

    return _with_connection(mysql, sqlite, read)


def report(mysql: Mysql | None, databases: Sequence[Path], since: datetime, by: By) -> Report:
    """Costs since `since` from MySQL, or from each instance's SQLite file. Raises OpsError."""
    from sqlalchemy.exc import SQLAlchemyError

    requests: list[Any] = []
    calls: list[Any] = []
    for sqlite in [Path()] if mysql else databases:

        def read(connection: Connection) -> None:
            _read(connection, since, requests, calls)

        try:
            _with_connection(mysql, sqlite, read)
        except (SQLAlchemyError, OSError) as error:
            cause = " ".join(str(getattr(error, "orig", None) or error).split())[:200]
            raise OpsError(
                f"the audit database can't be read: {cause}", "`techsapo health` says more"
            ) from None
    pairs = _pairs(requests)
    good = [p for p in pairs if p.met and p.requests >= ENOUGH]
    return Report(
        since=since,
        total_usd=sum(float(r.cost_usd) for r in requests),
        requests=len(requests),
        cached=sum(r.cache == "hit" for r in requests),
        rows=_by_day(requests, calls) if by == "day" else _by(by, calls),
        pairs=pairs,
        recommended=min(good, key=lambda p: p.cost_usd, default=None),
    )


def _with_connection(mysql: Mysql | None, sqlite: Path, read: Callable[[Connection], T]) -> T:
    engine = audit_engine(mysql, sqlite)
    try:
        with engine.connect() as connection:
            upgrade(connection)
            return read(connection)
    finally:
        engine.dispose()


def _read(connection: Connection, since: datetime, requests: list[Any], calls: list[Any]) -> None:
    import sqlalchemy as sa

    table, called = audit_tables()
    wanted = (
        table.c.time, table.c.cost_usd, table.c.cache, table.c.providers, table.c.confidence,
        table.c.threshold, table.c.accepted,
    )  # fmt: skip
    requests += connection.execute(sa.select(*wanted).where(table.c.time >= _naive(since))).all()
    day = sa.func.date(called.c.time)
    grouped = (called.c.provider, called.c.model, day)
    calls += connection.execute(
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
        .where(called.c.time >= _naive(since))
        .group_by(*grouped)
    ).all()


def _sum(name: str, calls: Sequence[Any], requests: int = 0, cost: float | None = None) -> Cost:
    return Cost(
        name=name,
        requests=requests,
        calls=sum(int(c.calls) for c in calls),
        failed=sum(int(c.failed) for c in calls),
        tokens_input=sum(int(c.tokens_input) for c in calls),
        tokens_output=sum(int(c.tokens_output) for c in calls),
        cost_usd=sum(float(c.cost_usd) for c in calls) if cost is None else cost,
    )


def _by(by: Literal["provider", "model"], calls: Sequence[Any]) -> tuple[Cost, ...]:
    groups: dict[str, list[Any]] = defaultdict(list)
    for call in calls:
        groups[str(getattr(call, by))].append(call)
    return tuple(sorted((_sum(n, c) for n, c in groups.items()), key=lambda c: -c.cost_usd))


def _by_day(requests: Sequence[Any], calls: Sequence[Any]) -> tuple[Cost, ...]:
    days: dict[str, list[Any]] = defaultdict(list)
    for request in requests:
        days[request.time.strftime("%Y-%m-%d")].append(request)
    return tuple(
        _sum(
            day,
            [c for c in calls if str(c.day) == day],
            len(asked),
            sum(float(r.cost_usd) for r in asked),
        )
        for day, asked in sorted(days.items())
    )


def _pairs(requests: Sequence[Any]) -> tuple[Pair, ...]:
    groups: dict[tuple[str, ...], list[Any]] = defaultdict(list)
    for request in requests:
        names = tuple(sorted(json.loads(request.providers)))
        if (
            len(names) == 2
            and request.cache == "miss"
            and None not in (request.confidence, request.threshold)
        ):
            groups[names].append(request)
    return tuple(
        Pair(
            providers=names,
            requests=len(asked),
            confidence=sum(r.confidence for r in asked) / len(asked),
            threshold=sum(r.threshold for r in asked) / len(asked),
            accepted=sum(bool(r.accepted) for r in asked) / len(asked),
            cost_usd=sum(float(r.cost_usd) for r in asked) / len(asked),
        )
        for names, asked in sorted(groups.items())
    )


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)
