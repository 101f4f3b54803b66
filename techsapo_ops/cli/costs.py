"""`techsapo costs`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from techsapo_ops.cli.options import DEFAULT_SPEC, EnvironmentOption, FileOption, JsonOption

if TYPE_CHECKING:
    from techsapo_ops.cli.wiring import Project
    from techsapo_ops.spec.models.data import Mysql


class Grouping(StrEnum):
    """What costs are summed up by."""

    PROVIDER = "provider"
    MODEL = "model"
    DAY = "day"


def costs(
    by: Annotated[Grouping, typer.Option("--by", help="What to sum up by.")] = Grouping.PROVIDER,
    days: Annotated[int, typer.Option("--days", min=1, max=3660, help="How many days back.")] = 30,
    file: FileOption = DEFAULT_SPEC,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what the answers cost, and the cheapest pair of providers that was sure enough.

    The figures are those of the audit log: what the budget was charged. Days are UTC.

    Examples:

      techsapo costs --by day --days 7
    """
    from dataclasses import asdict

    from techsapo_ops.adapters.audit_costs import ENOUGH, report
    from techsapo_ops.cli.output import Output
    from techsapo_ops.cli.wiring import open_project

    project = open_project(file, environment)
    since = (datetime.now(UTC) - timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)
    databases = sorted(project.layout.data.glob("app*/audit.sqlite"))
    found = report(_mysql(project), databases, since, by.value)
    out = Output(as_json=as_json)
    if as_json:
        best = found.recommended
        out.json(
            {
                "since": since.isoformat(),
                "by": by.value,
                "total_usd": round(found.total_usd, 9),
                "requests": found.requests,
                "cached": found.cached,
                "rows": [asdict(r) for r in found.rows],
                "pairs": [{**asdict(p), "met": p.met} for p in found.pairs],
                "recommended": {**asdict(best), "met": True} if best is not None else None,
            }
        )
        return
    day = by is Grouping.DAY
    columns = [by.value, *(["requests"] if day else []), "calls", "failed", "tokens in", "tokens out", "usd"]
    rows: list[list[object]] = [
        [
            r.name,
            *([r.requests] if day else []),
            r.calls,
            r.failed,
            r.tokens_input,
            r.tokens_output,
            f"{r.cost_usd:.6f}",
        ]
        for r in found.rows
    ]
    out.table(columns, rows, right=columns[1:])
    budget = project.spec.budget
    out.data(
        f"\ntotal    ${found.total_usd:.6f} for {found.requests} requests since {since:%Y-%m-%d}, "
        f"{found.cached} of them from the cache"
    )
    out.data(f"budget   ${budget.monthly_usd:.2f} a month, ${budget.resolved_daily_usd:.2f} a day")
    best = found.recommended
    if best is None:
        out.data(
            f"advice   none yet: no pair of providers met its tier's confidence in {ENOUGH} requests or more"
        )
        return
    out.data(
        f"advice   {' + '.join(best.providers)}: the cheapest pair that met its tier's confidence: "
        f"{best.confidence:.2f} on average, needs {best.threshold:.2f}; {best.accepted:.0%} accepted; "
        f"${best.cost_usd:.6f} a request; {best.requests} requests"
    )


def _mysql(project: Project) -> Mysql | None:
    """The stack's MySQL with its password, None where the audit log is SQLite."""
    from techsapo_ops.adapters.files import read_text
    from techsapo_ops.cli.wiring import topology_for
    from techsapo_ops.spec.secret import Secret

    mysql = project.spec.mysql
    if mysql is None or not topology_for(project).has("mysql"):
        return None
    made = project.layout.mysql_password
    if mysql.password is None and made.is_file():
        return mysql.model_copy(
            update={"password": Secret(read_text(made, what="database password").strip())}
        )
    return mysql
