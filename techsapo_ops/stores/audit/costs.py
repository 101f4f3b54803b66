"""What the audit database says of costs."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stores.audit.migrate import upgrade
from techsapo_ops.stores.audit.server import AuditServer
from techsapo_ops.stores.audit.spool import DRILL
from techsapo_ops.stores.audit.tables import audit_engine, audit_tables, database_errors

if TYPE_CHECKING:
    from sqlalchemy import Connection

ENOUGH = 20
"""Fewest requests from which a pair of providers is judged."""
_NAMED = 500
"""Ids in one list of a statement."""
T = TypeVar("T")
By = Literal["provider", "model", "day"]


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the audit log; `day` is the UTC date."""

    day: str
    cost_usd: float
    cache: str
    providers: tuple[str, ...]
    confidence: float | None
    threshold: float | None
    accepted: bool
    simulated: bool


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
        requests = (Request(r[0], r[1], r[2], tuple(r[3]), r[4], r[5], r[6], r[7]) for r in value["requests"])
        return Rows(tuple(requests), tuple(Call(*c) for c in value["calls"]))


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
    simulated_usd: float
    """The part of `total_usd` that simulated providers pretended to charge."""
    requests: int
    cached: int
    rows: tuple[Cost, ...]
    pairs: tuple[Pair, ...]
    recommended: Pair | None


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

    The rows with the ids `without` are left out: those that are counted elsewhere.

    Raises SQLAlchemyError or OSError.
    """
    import sqlalchemy as sa

    if mysql is None and not sqlite.exists():
        return 0.0
    requests, _ = audit_tables()
    wanted = sa.select(sa.func.sum(requests.c.cost_usd)).where(requests.c.time >= _naive(since))
    if key_id is not None:
        wanted = wanted.where(requests.c.key_id == key_id)
    for n in range(0, len(without), _NAMED):
        wanted = wanted.where(requests.c.id.not_in(without[n : n + _NAMED]))
    if not simulated:
        wanted = wanted.where(requests.c.simulated == sa.false())

    def read(connection: Connection) -> float:
        return float(connection.execute(wanted).scalar() or 0.0)

    return _with_connection(mysql, sqlite, read)


def mean_costs(
    mysql: AuditServer | None, sqlite: Path, since: datetime, *, simulated: bool
) -> dict[str, tuple[float, int]]:
    """By tier what a question that was answered anew since then cost on average, in USD, and how many those
    were; with `simulated` those of simulated providers, else of real ones. Raises OpsError.
    """
    import sqlalchemy as sa

    table, _ = audit_tables()
    wanted = (
        sa.select(table.c.task_type, sa.func.avg(table.c.cost_usd), sa.func.count())
        .where(
            table.c.time >= _naive(since),
            table.c.cache == "miss",
            table.c.confidence.is_not(None),
            table.c.simulated == (sa.true() if simulated else sa.false()),
        )
        .group_by(table.c.task_type)
    )
    found: dict[str, tuple[float, int]] = {}

    def read(connection: Connection) -> None:
        found.update({str(tier): (float(mean), int(n)) for tier, mean, n in connection.execute(wanted)})

    if mysql is not None or sqlite.exists():
        _from_each(mysql, [sqlite], read)
    return found


def report(mysql: AuditServer | None, databases: Sequence[Path], since: datetime, by: By) -> Report:
    """Costs since `since` from MySQL, or from each instance's SQLite file. Raises OpsError."""
    return summed(read_rows(mysql, databases, since), since, by)


def read_rows(mysql: AuditServer | None, databases: Sequence[Path], since: datetime) -> Rows:
    """What `summed` needs of MySQL, or of SQLite files. Raises OpsError."""
    requests: list[Request] = []
    calls: list[Call] = []

    def read(connection: Connection) -> None:
        _read(connection, since, requests, calls)

    _from_each(mysql, databases, read)
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

    _from_each(mysql, databases, read)
    return found


def _from_each(
    mysql: AuditServer | None, databases: Sequence[Path], read: Callable[[Connection], None]
) -> None:
    for sqlite in [Path()] if mysql else databases:
        try:
            _with_connection(mysql, sqlite, read)
        except database_errors() as error:
            cause = " ".join(str(getattr(error, "orig", None) or error).split())[:200]
            raise OpsError(
                msg("the audit database can't be read: {cause}", cause=cause),
                msg("`techsapo health` says more"),
            ) from None


def summed(rows: Rows, since: datetime, by: By) -> Report:
    """The costs that `rows`, which begin at `since`, amount to."""
    requests, calls = rows.requests, rows.calls
    pairs = _pairs(requests)
    good = [p for p in pairs if p.met and p.requests >= ENOUGH]
    return Report(
        since=since,
        total_usd=sum(r.cost_usd for r in requests),
        simulated_usd=sum(r.cost_usd for r in requests if r.simulated),
        requests=len(requests),
        cached=sum(r.cache == "hit" for r in requests),
        rows=_by_day(requests, calls) if by == "day" else _by(by, calls),
        pairs=pairs,
        recommended=min(good, key=lambda p: p.cost_usd, default=None),
    )


def _with_connection(mysql: AuditServer | None, sqlite: Path, read: Callable[[Connection], T]) -> T:
    engine = audit_engine(mysql, sqlite)
    try:
        with engine.connect() as connection:
            upgrade(connection)
            return read(connection)
    finally:
        engine.dispose()


def _read(connection: Connection, since: datetime, requests: list[Request], calls: list[Call]) -> None:
    import sqlalchemy as sa

    table, called = audit_tables()
    wanted = (
        table.c.time, table.c.cost_usd, table.c.cache, table.c.providers, table.c.confidence,
        table.c.threshold, table.c.accepted, table.c.simulated,
    )  # fmt: skip
    found = connection.execute(
        sa.select(*wanted).where(table.c.time >= _naive(since), table.c.task_type != DRILL)
    ).all()
    requests += [
        Request(
            r.time.strftime("%Y-%m-%d"), float(r.cost_usd), r.cache, tuple(sorted(json.loads(r.providers))),
            r.confidence, r.threshold, bool(r.accepted), bool(r.simulated),
        )
        for r in found
    ]  # fmt: skip
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
        .where(called.c.time >= _naive(since))
        .group_by(*grouped)
    ).all()
    calls += [
        Call(
            c.provider, c.model, str(c.day), int(c.calls), int(c.failed), int(c.tokens_input),
            int(c.tokens_output), float(c.cost_usd),
        )
        for c in summed_up
    ]  # fmt: skip


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


def _by_day(requests: Sequence[Request], calls: Sequence[Call]) -> tuple[Cost, ...]:
    days: dict[str, list[Request]] = defaultdict(list)
    for request in requests:
        days[request.day].append(request)
    return tuple(
        _sum(day, [c for c in calls if c.day == day], len(asked), sum(r.cost_usd for r in asked))
        for day, asked in sorted(days.items())
    )


def _pairs(requests: Sequence[Request]) -> tuple[Pair, ...]:
    groups: dict[tuple[str, ...], list[tuple[float, float, Request]]] = defaultdict(list)
    for request in requests:
        confidence, threshold = request.confidence, request.threshold
        if len(request.providers) != 2 or request.cache != "miss" or confidence is None or threshold is None:
            continue
        groups[request.providers].append((confidence, threshold, request))
    return tuple(
        Pair(
            providers=names,
            requests=len(asked),
            confidence=fmean(confidence for confidence, _, _ in asked),
            threshold=fmean(threshold for _, threshold, _ in asked),  # of seven .7 it is .7, not .7 and a bit
            accepted=sum(request.accepted for _, _, request in asked) / len(asked),
            cost_usd=sum(request.cost_usd for _, _, request in asked) / len(asked),
        )
        for names, asked in sorted(groups.items())
    )


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)
