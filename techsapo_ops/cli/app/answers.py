"""`techsapo answers`: what answers cost, how sure they are, and how they are forgotten."""

from __future__ import annotations

import os
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from techsapo_ops.apply.data import reset_budget as reset
from techsapo_ops.apply.forget_answers import Removed, Whose, forget_answers
from techsapo_ops.cli.app.calibrate import calibrate
from techsapo_ops.cli.app.store_options import StoreOptions
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import JsonOutput, QuietOutput, SpecPlace, WaitOption, YesOption
from techsapo_ops.cli.output import Output, require_yes
from techsapo_ops.cli.project import open_project
from techsapo_ops.cli.typer_base import CommandGroup
from techsapo_ops.engines.at_work import at_work
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg, template
from techsapo_ops.stores.audit.database import audit_server
from techsapo_ops.stores.audit.rows import read_drill_rows, read_rows
from techsapo_ops.stores.budget_ledger import PERIODS
from techsapo_ops.stores.labels.store import read_answered
from techsapo_ops.watch.costs import AUDIT, first_day
from techsapo_ops.watch.costs import costs as sum_up

app = CommandGroup()


class Grouping(StrEnum):
    """What costs are summed up by."""

    PROVIDER = "provider"
    MODEL = "model"
    DAY = "day"


class BudgetPeriod(StrEnum):
    """Whose budgets."""

    DAY = "day"
    MONTH = "month"


@app.command()
def costs(
    by: Annotated[Grouping, typer.Option("--by", help="What to group the costs by.")] = Grouping.PROVIDER,
    days: Annotated[int, typer.Option("--days", min=1, max=3660, help="How many days to go back.")] = 30,
    *,
    place: SpecPlace,
    out: JsonOutput,
    rows: Annotated[
        bool, typer.Option("--rows", hidden=True, help="What another techsapo sums up, as the app sees it.")
    ] = False,
    drill: Annotated[
        str | None, typer.Option("--drill", hidden=True, help="With --rows: of the drill of these ids.")
    ] = None,
    labels: Annotated[
        bool,
        typer.Option("--labels", hidden=True, help="With --rows: verdicts, and their labels."),
    ] = False,
    data: Annotated[
        Path, typer.Option("--data", hidden=True, help="Folder of the app's audit log.")
    ] = Path(),
    stores: StoreOptions,
) -> None:
    """Show what the answers cost.

    The figures are the amounts charged to the budget, from the audit log. Days are UTC.

    Examples:

      techsapo answers costs --by day --days 7
    """
    out = Output(as_json=out.as_json or rows)
    if rows:
        # A part of the spec that `up` rendered, after it had looked: in a container it belongs to the owner.
        here = open_project(place.file, cross_check=False, trusted=os.geteuid() == 0)
        spec = stores.spec(here.spec)
        server = audit_server(spec.mysql, stores.audit_members)
        databases = [path for path in (data / AUDIT,) if path.exists()]
        if labels:
            out.json([each.to_json() for each in read_answered(server, databases, first_day(days))])
        elif drill is not None:
            out.json(dict(read_drill_rows(server, databases, drill)))
        else:
            out.json(read_rows(server, databases, first_day(days)).to_json())
        return
    project = place.open()
    totals = sum_up(open_stack(project), days, by.value)
    since = totals.since
    if out.as_json:
        out.json(
            {
                "since": since.isoformat(),
                "by": by.value,
                "total_usd": round(totals.total_usd, 9),
                "simulated_usd": round(totals.simulated_usd, 9),
                "requests": totals.requests,
                "cached": totals.cached,
                "rows": [asdict(r) for r in totals.rows],
            }
        )
        return
    day = by is Grouping.DAY
    columns = [
        by.value,
        *([template("REQUESTS")] if day else []),
        template("CALLS"),
        template("FAILED"),
        template("TOKENS IN"),
        template("TOKENS OUT"),
        "usd",
    ]
    lines: list[list[object]] = [
        [
            r.name,
            *([r.requests] if day else []),
            r.calls,
            r.failed,
            r.tokens_input,
            r.tokens_output,
            f"{r.cost_usd:.6f}",
        ]
        for r in totals.rows
    ]
    out.table(columns, lines, right=columns[1:])
    budget = project.spec.budget
    out.data(
        msg(
            "\ntotal    ${total_usd:.6f} for {requests} requests since {since:%Y-%m-%d}, {cached} "
            "of them from the cache",
            total_usd=totals.total_usd,
            requests=totals.requests,
            since=since,
            cached=totals.cached,
        )
    )
    if totals.simulated_usd:
        whether = msg("counts") if budget.count_simulated else msg("does not count")
        out.data(
            msg(
                "         ${simulated_usd:.6f} of that total is simulated: nobody paid it, and it {whether} "
                "towards the budget",
                simulated_usd=totals.simulated_usd,
                whether=whether,
            )
        )
    out.data(
        msg(
            "budget   ${monthly_usd:.2f} a month, ${resolved_daily_usd:.2f} a day",
            monthly_usd=budget.monthly_usd,
            resolved_daily_usd=budget.resolved_daily_usd,
        )
    )


@app.command()
def reset_budget(
    period: Annotated[BudgetPeriod, typer.Argument(help="Which budget: the day's or the month's.")],
    *,
    place: SpecPlace,
    yes: YesOption = False,
    wait: WaitOption = 0.0,
    out: QuietOutput,
) -> None:
    """Set the amount spent today or this month to zero, for the stack and for each key.

    Use this, for example, when the audit log was lost and the day's budget therefore counts as spent. The
    app notices the reset within seconds, and the record of administration shows who reset the budget. Later
    spending counts as usual.

    Examples:

      techsapo answers reset-budget day
    """
    stack = open_stack(place.open())
    word = PERIODS[period.value]
    require_yes(msg("set the {period}'s spending to zero now?", period=word), yes=yes)
    with at_work(stack.layout, wait):
        reset(stack, period.value, out.warn)
    out.say(msg("the {period}'s spending is now zero", period=word))
    out.next("techsapo status")


@app.command()
def forget(
    request: Annotated[
        str, typer.Argument(help="The answer's request id.", show_default=False, metavar="[REQUEST]")
    ] = "",
    user: Annotated[
        str,
        typer.Option(
            "--user",
            help="Everything that this user asked, and this user's labels of answers.",
            show_default=False,
        ),
    ] = "",
    *,
    place: SpecPlace,
    yes: YesOption = False,
    wait: WaitOption = 0.0,
    out: QuietOutput,
) -> None:
    """Remove what is stored about a question or a user, for example at the user's request.

    The prompt, the answer, names, labels and the figures that confidence learns from are removed from the
    audit log. The costs stay. The removal can't be undone. Backups and MariaDB's binary logs keep the
    removed data until they expire.

    Examples:

      techsapo answers forget 4f1c0e6a9b6d4c0f

      techsapo answers forget --user taro
    """
    if bool(request) == bool(user):
        raise OpsError(msg("name either a request or a user"))
    if not (request + user).isprintable():
        raise OpsError(msg("a request id or a user's name contains no control characters"))
    stack = open_stack(place.open())
    require_yes(msg("remove what is stored about {whose} for good?", whose=request or user), yes=yes)
    with at_work(stack.layout, wait):
        removed = forget_answers(stack, Whose(request, user), out.warn)
    if removed == Removed():
        raise OpsError(
            msg("nothing is stored about {whose}", whose=request or user),
            msg("a new answer is in the audit log within seconds"),
        )
    out.say(
        msg(
            "removed: questions {questions}, labels {labels}",
            questions=removed.questions,
            labels=removed.labels,
        )
    )
    out.warn(
        msg(
            "existing backups keep the removed data until they are pruned, and a restore brings the data "
            "back; the cache keeps the answer for `wallbounce.cache_ttl`"
        )
    )


app.command()(calibrate)
