"""`techsapo report`."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Annotated

import typer

from techsapo_ops.cli.arguments import moment
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import JsonOutput, SpecPlace
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.administration import recorded
from techsapo_ops.operations.report.report import MOST_DAYS, WEEK, report_of
from techsapo_ops.operations.report.sending import NOBODY, send_report, targets


def report(
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="AGE|TIME", help=f"From then on, at most {MOST_DAYS} days.", show_default="7d"
        ),
    ] = None,
    send: Annotated[
        bool, typer.Option("--send", help="Send it to notifications.report, once a week to each.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="With --send: also to who got this week's already.")
    ] = False,
    *,
    place: SpecPlace,
    out: JsonOutput,
) -> None:
    """Show the weekly report: costs, refusals, backups, certificates, retirements, updates, alerts.

    It ends with 1 where a receiver did not take it. The job `report` sends it every week.

    Examples:

      techsapo report

      techsapo report --since 14d --json

      techsapo report --send
    """
    if again and not send:
        raise OpsError(
            msg("--again is for --send"), msg("write `techsapo report --send --again`"), exit_code=2
        )
    now = datetime.now().astimezone()
    days = WEEK if since is None else _days(moment(since, now), now)
    stack = open_stack(place.open())
    made = report_of(stack, now, days)
    if not send:
        if out.as_json:
            out.json({**made.to_json(), "sent": []})
        else:
            out.data(made.page)
        return
    to = targets(stack.spec)
    if not to:
        raise OpsError(NOBODY.partition(": ")[0], NOBODY.partition(": ")[2])
    what = {"week": made.week, "receivers": [target.path for target in to], "again": again or None}
    with recorded(stack.layout, msg("report --send"), what, out.warn) as known:
        done = send_report(stack.layout, made, to, again=again)
        known["outcomes"] = [f"{each.target.path} {each.outcome}" for each in done]
    if out.as_json:
        sent = [{"receiver": s.target.path, "outcome": s.outcome, "why": s.why or None} for s in done]
        out.json({**made.to_json(), "sent": sent})
    for each in done:
        out.say(str(each))
    failed = [each for each in done if not each.ok]
    if failed:
        raise OpsError(
            msg("the report did not reach {count} of {count2}", count=len(failed), count2=len(done)),
            msg("see above"),
        )


def _days(begin: datetime, now: datetime) -> int:
    days = math.ceil((now - begin).total_seconds() / 86_400)
    if not 1 <= days <= MOST_DAYS:
        raise OpsError(
            msg(
                "--since: the report is of 1 to {most_days} days, not of {days}",
                most_days=MOST_DAYS,
                days=days,
            ),
            msg("write e.g. 14d"),
            exit_code=2,
        )
    return days
