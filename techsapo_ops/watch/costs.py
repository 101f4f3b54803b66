"""What the answers of a stack cost, from wherever its audit log is; the job `costs`, and what status says."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from techsapo_ops.adapters.files import read_text
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.adapters.textfile import Sample
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.job import JobContext, JobResult
from techsapo_ops.messages import msg
from techsapo_ops.services.app.kind import address_options
from techsapo_ops.services.app.rendered_spec import APP_SPEC
from techsapo_ops.services.lost_data import lost_data
from techsapo_ops.services.mysql.kind import Mysql
from techsapo_ops.services.registry import kind_of
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.data_notes import read_note
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.topology import Topology
from techsapo_ops.stores.audit.costs import By, Report, summed
from techsapo_ops.stores.audit.database import AuditServer, audit_server
from techsapo_ops.stores.audit.rows import Rows, read_drill_rows, read_rows
from techsapo_ops.stores.labels.rows import AnsweredRequest
from techsapo_ops.stores.labels.store import read_answered

AUDIT = "audit.sqlite"
_DATABASE = Mysql.facts.kind
_READ_SECONDS = 300.0
_ERROR = re.compile("^(error|エラー): ")
"""How techsapo begins an error, in either language."""
T = TypeVar("T")


def first_day(days: int) -> datetime:
    """Midnight UTC so many days ago."""
    return (datetime.now(UTC) - timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)


def costs(stack: Stack, days: int, by: By) -> Report:
    """Costs of the last `days` days out of the stack's MariaDB or SQLite files. Raises OpsError."""
    return summed(rows_of(stack, days), first_day(days), by)


def rows_of(stack: Stack, days: int) -> Rows:
    """What they are summed up from, likewise."""
    return _read(
        stack,
        ("--days", str(days)),
        lambda mysql, databases: read_rows(mysql, databases, first_day(days)),
        Rows.from_json,
        Rows(),
    )


def answered_of(stack: Stack, days: int) -> tuple[AnsweredRequest, ...]:
    """The requests of the last `days` days that have a verdict, with their labels, likewise."""
    return _read(
        stack,
        ("--labels", "--days", str(days)),
        lambda mysql, databases: read_answered(mysql, databases, first_day(days)),
        lambda value: tuple(map(AnsweredRequest.from_json, value)),
        (),
    )


def drill_rows_of(stack: Stack, prefix: str) -> Counter[str]:
    """How many rows each request of a drill has whose id begins with `prefix`. Raises OpsError."""
    return _read(
        stack,
        ("--drill", prefix),
        lambda mysql, databases: read_drill_rows(mysql, databases, prefix),
        lambda value: Counter({str(name): int(count) for name, count in value.items()}),
        Counter(),
    )


def _read(
    stack: Stack,
    options: Sequence[str],
    here: Callable[[AuditServer | None, Sequence[Path]], T],
    parse: Callable[[Any], T],
    nothing: T,
) -> T:
    """All rows, from `here` where this user may read them, else what `costs --rows` with `options` prints."""
    topology = stack.topology
    mysql = None if topology.places.isolated else _mysql(stack)
    first = _apps(topology)[0]
    if topology.places.isolated:
        outputs = _from_containers(stack, options)
    else:
        databases = _databases(topology.layout.data, first.kind)
        if mysql is not None or first.user is None:
            return here(mysql, databases)
        outputs = _as_its_user(stack, databases, options)
    for done, name in outputs:
        nothing = nothing + _parsed(done, name, parse)  # type: ignore[operator]
    return nothing


def _databases(data: Path, kind: str) -> list[Path]:
    """The audit logs of this host, also those of instances that were scaled away.

    Raises OpsError where this user may not look: what can't be read is not nothing (a glob passes over it).
    """
    try:
        folders = [path for path in data.iterdir() if path.name.startswith(kind) and path.is_dir()]
        return sorted(path / AUDIT for path in folders if AUDIT in os.listdir(path))  # noqa: PTH208
    except FileNotFoundError:
        return []
    except OSError as error:
        raise OpsError(
            msg(
                "cannot read the audit log in {filename}: {strerror}",
                filename=error.filename,
                strerror=error.strerror,
            )
        ) from None


def _as_its_user(
    stack: Stack, databases: Sequence[Path], options: Sequence[str]
) -> Iterator[tuple[Completed, str]]:
    """As the app's user, whose folders they are in: root would follow a link that is put there."""
    topology = stack.topology
    for database in databases:
        name = database.parent.name
        argv = (
            topology.host.python, "-P", "-m", "techsapo_ops", "answers", "costs", "--rows", *options,
            "--file", str(topology.config_dir() / APP_SPEC), "--data", str(database.parent),
        )  # fmt: skip
        asked = stack.engine.beside(name, Command(argv), image_of=_apps(topology)[0].name)
        yield stack.runner.run(asked, timeout=_READ_SECONDS), name


def _from_containers(stack: Stack, options: Sequence[str]) -> Iterator[tuple[Completed, str]]:
    """MariaDB is private to the stack and an SQLite file is in its instance's volume: the app reads both."""
    topology = stack.topology
    apps = _apps(topology)
    argv = (
        "python", "-m", "techsapo_ops", "answers", "costs", "--rows", *options,
        "--file", str(topology.config_dir() / APP_SPEC), "--data", str(topology.data_dir(apps[0])),
        *address_options(topology, (_DATABASE,)),
    )  # fmt: skip
    observed = stack.engine.observe().services
    if topology.has(_DATABASE):
        running = [a for a in apps if a.name in observed and observed[a.name].state.runs]
        if not running:
            raise OpsError(
                msg("the audit database can't be reached, because no instance of the app is running"),
                msg("`techsapo up` starts it"),
            )
        asked = stack.engine.enter(running[0].name, Command(argv))
        yield stack.runner.run(asked, timeout=_READ_SECONDS), running[0].name
        return
    for app in apps:
        if stack.engine.reaches(app.name):
            beside = stack.engine.beside(app.name, Command(argv))
            yield stack.runner.run(beside, timeout=_READ_SECONDS), app.name
    if stack.engine.reaches(apps[0].name):
        for name in stack.engine.left(apps[0].kind):
            beside = stack.engine.beside(name, Command(argv), image_of=apps[0].name)
            yield stack.runner.run(beside, timeout=_READ_SECONDS), name


def _apps(topology: Topology) -> tuple[Service, ...]:
    return tuple(service for service in topology.services if service.facts.runs_package)


def _parsed(done: Completed, app: str, parse: Callable[[Any], T]) -> T:
    if done.code != 0:
        said = done.output.splitlines() or [msg("exit code {code}", code=done.code)]
        raise OpsError(
            msg(
                "{app} can't read the audit log: {said}",
                app=app,
                said=_ERROR.sub("", said[0]),
            ),
            msg("for details, run `techsapo health`"),
        )
    try:
        return parse(json.loads(done.stdout))
    except (ValueError, LookupError, TypeError, AttributeError):
        raise OpsError(
            msg("the answer of {app} can't be read by this version of techsapo", app=app),
            msg("`techsapo up` brings the app's image up to date"),
        ) from None


def _mysql(stack: Stack) -> AuditServer | None:
    """The stack's MariaDB with its password, None where the audit log is SQLite."""
    mysql = stack.spec.mysql
    if mysql is None or not stack.topology.has(_DATABASE):
        return None
    made = stack.topology.layout.mysql_password
    if mysql.password is None and made.is_file():
        mysql = mysql.model_copy(
            update={"password": Secret(read_text(made, what=msg("database password")).strip())}
        )
    return audit_server(mysql)


DAYS = 30


def job(context: JobContext) -> JobResult:
    """Sum up the audit log. Raises OpsError when it can't be read."""
    stack = context.stack()
    report = costs(stack, DAYS, "provider")
    for row in report.rows:
        context.tell(f"{row.name} ${row.cost_usd:.6f} in {row.calls} calls, {row.failed} failed")
    context.tell(f"budget ${stack.spec.budget.monthly_usd:.2f} a month")
    samples = [Sample("techsapo_costs_usd", row.cost_usd, {"provider": row.name}) for row in report.rows]
    samples.append(Sample("techsapo_costs_requests", report.requests))
    return JobResult(
        msg(
            "${total_usd:.6f} for {requests} requests in {days} days",
            total_usd=report.total_usd,
            requests=report.requests,
            days=DAYS,
        ),
        tuple(samples),
    )


@dataclass(frozen=True, slots=True)
class Spent:
    """USD of this day and month, by UTC, and what may be spent; simulated money as the spec says."""

    day_usd: float
    month_usd: float
    daily_usd: float
    monthly_usd: float
    rows_lost: bool = False
    """Whether audit rows of this month are lost, so that it was as much or more."""

    @property
    def day_percent(self) -> float:
        """How much of the day's budget is used."""
        return 100 * self.day_usd / self.daily_usd if self.daily_usd else 0.0

    @property
    def month_percent(self) -> float:
        """How much of the month's budget is used."""
        return 100 * self.month_usd / self.monthly_usd if self.monthly_usd else 0.0


def spent_of(stack: Stack, now: datetime) -> Spent:
    """What was spent by `now`. Raises OpsError where the audit log can't be read."""
    today, budget = now.astimezone(UTC).date(), stack.spec.budget
    asked = [
        request
        for request in rows_of(stack, today.day).requests
        if budget.count_simulated or not request.simulated
    ]
    return Spent(
        sum(r.cost_usd for r in asked if r.day == f"{today}"),
        sum(r.cost_usd for r in asked if r.day.startswith(f"{today:%Y-%m}")),
        budget.resolved_daily_usd,
        budget.monthly_usd,
        _rows_lost(stack, datetime(today.year, today.month, 1, tzinfo=UTC)),
    )


def _rows_lost(stack: Stack, first: datetime) -> bool:
    """Whether audit rows since `first` are lost: noted when the stack went on without them, or gone now."""
    if any(gap.until > first for gap in read_note(stack.layout.budget_note).gaps):
        return True
    lost = lost_data(stack.topology, stack.engine, stack.topology.engine)
    return any(kind_of(each.known.kind).has_audit_log(stack.topology) for each in lost)
