"""`techsapo status`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.adapters.unreachable import away_json
from techsapo_ops.catalogue.alerts import WATCHDOG
from techsapo_ops.cli.arguments import moment
from techsapo_ops.cli.language import spoken
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import JsonOutput, SpecPlace
from techsapo_ops.cli.output import console, document, state_style, write
from techsapo_ops.cli.watch.services_view import EXIT_CODES, WRONG, service_json
from techsapo_ops.cli.watch.status_view import LABEL, Line, lines, next_of
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.cron import local_zone
from techsapo_ops.watch.status.status import status_of

if TYPE_CHECKING:
    from techsapo_ops.apply.drift import DriftReport
    from techsapo_ops.cli.options import SpecChoice
    from techsapo_ops.cli.output import Output
    from techsapo_ops.stack.stack import Stack
    from techsapo_ops.watch.alerts.firing import Listing
    from techsapo_ops.watch.health.report import HealthReport
    from techsapo_ops.watch.status.status import Look, StackStatus

LONGEST = timedelta(days=31)
"""Of what Prometheus is asked at once, a look each minute."""


def status(
    *,
    place: SpecPlace,
    timeout: Annotated[
        float,
        typer.Option("--timeout", metavar="SECONDS", min=0.05, max=300, help="Longest wait for a part."),
    ] = 10.0,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="AGE|TIME",
            help=f"Summarise the period since then, e.g. 7d; at most {LONGEST.days}d.",
        ),
    ] = None,
    out: JsonOutput,
) -> None:
    """Show the whole stack on one screen: health, alerts and who works on them, backups, costs, jobs.

    All parts are checked at once. A part that can't be read shows the reason in its line, and delays no other
    part.

    With --since, the command prints a handover summary of the period: incidents that opened or ended, who
    ended them and who works on the open ones, alerts that paged, noisy alerts, the last trial restore, cost
    compared with the period before, security updates, silences, and what expires soon. The `report` job
    sends this summary, without incidents, every week; `techsapo jobs run report` sends it now.

    Exit code, as for `health`: 0 healthy, 1 degraded, 2 down, 3 for a wrong spec or wrong usage.

    Examples:

      techsapo status

      techsapo status --since 7d

      techsapo status --since friday

      techsapo status --json
    """
    if since is not None:
        _since(place, since, out)
        return
    try:
        zone = local_zone()
        stack = open_stack(place.open())
    except OpsError as error:
        error.exit_code = WRONG
        raise
    with out.busy(msg("waiting for all parts, at most {timeout:g} s", timeout=timeout)):
        stack_status = status_of(stack, timeout=timeout, now=datetime.now(UTC), zone=zone)
    if out.as_json:
        out.json(value(stack_status, stack))
    else:
        _print(lines(stack_status, stack))
        if step := next_of(stack_status):
            out.advise(step)
    raise typer.Exit(EXIT_CODES[stack_status.status])


def _since(place: SpecChoice, since: str, out: Output) -> None:
    now = datetime.now().astimezone()
    begin = moment(since, now)
    if not timedelta(hours=1) <= now - begin <= LONGEST:
        raise OpsError(
            msg("--since {since}: give a time between 1h and {days}d ago", since=since, days=LONGEST.days),
            msg("write e.g. --since 7d"),
            exit_code=WRONG,
        )
    from techsapo_ops.watch.status.week import week_of

    stack = open_stack(place.open())
    week = week_of(stack, begin, now)
    handed = _incidents(place, begin) if stack.spec.investigate is not None else None
    if out.as_json:
        out.json({**week.to_json(), **({} if handed is None else {"incidents": handed[0]})})
    for line in (week.title, *(() if handed is None else handed[1]), *week.lines):
        out.data(line)


def _incidents(place: SpecChoice, since: datetime) -> tuple[dict[str, Any], list[str]]:
    """The incidents since then as the app has them, for programs and for people, or why it says nothing."""
    from techsapo_ops.cli.app.orchestrator import orchestrator
    from techsapo_ops.cli.incidents.handover import handover_of

    try:
        handover = handover_of(orchestrator(None, place, None), since)
    except OpsError as error:
        why = error.message.partition("\n")[0]
        return {"missing": why}, [msg("Incidents: not available: {why}", why=why)]
    first, *rest = handover.lines
    lines = [msg("Incidents: {line}", line=first), *(f"   {line}" for line in rest)]
    return {"missing": None, **handover.to_json()}, lines


def _print(shown: Iterable[Line]) -> None:
    """On a terminal in colours; a line is never broken on a pipe."""
    screen = console()
    if not screen.is_terminal:
        for line in shown:
            write(str(line))
        return
    from rich.table import Table
    from rich.text import Text

    from techsapo_ops.adapters.line_breaks import wrapped

    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(min_width=LABEL, no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for line in shown:
        spoken_text = harmless(spoken(line.text))
        indent = " " * (len(spoken_text) - len(spoken_text.lstrip()))
        parts = wrapped(spoken_text.lstrip(), max(screen.width - LABEL - 1 - len(indent), LABEL))
        text = "\n".join(indent + part for part in parts)
        table.add_row(Text(spoken(line.label)), Text(text, style=state_style(line.state)))
    screen.print(table)


_AS_THEY_ARE = ("backups", "certificates", "budget", "versions")


def value(stack_status: StackStatus, stack: Stack) -> dict[str, Any]:
    """The same with stable keys; a part that could not be read is null, and `unread` says why."""
    parts: dict[str, tuple[Look[Any], Callable[[Any], Any]]] = {
        "health": (stack_status.health, _health),
        "services": (
            stack_status.services,
            lambda seen: [service_json(s, stack_status.at, seen.stopped) for s in seen.services.values()],
        ),
        "alerts": (stack_status.alerts, _alerts),
        "jobs": (
            stack_status.jobs,
            lambda every: [{"name": j.job.name, **document(j, "job")} for j in every],
        ),
        "drift": (stack_status.drift, _drift),
        **{name: (getattr(stack_status, name), lambda part: part) for name in _AS_THEY_ARE},
    }
    if stack_status.front is not None:
        parts["front"] = (stack_status.front, list)
    unread = {name: look.why for name, (look, _) in parts.items() if look.value is None}
    if (listing := stack_status.alerts.value) is not None and listing.trouble:
        unread["alerts"] = listing.trouble
    return {
        "project": stack.spec.project,
        "engine": stack.topology.engine,
        "status": stack_status.status.value,
        "at": stack_status.at.isoformat(timespec="seconds"),
        "seconds": round(stack_status.seconds, 3),
        "maintenance": None if stack_status.maintenance is None else stack_status.maintenance.to_json(),
        **{name: None if name in unread else show(look.value) for name, (look, show) in parts.items()},
        "unread": unread,
        **({"unreachable": away_json(stack_status.unreachable)} if stack_status.unreachable else {}),
    }


def _health(report: HealthReport) -> dict[str, Any]:
    failing = [document(part, "vital", "outdated", "away", "sole") for part in report.failing]
    return {"status": report.status, "failing": failing}


def _alerts(listing: Listing) -> dict[str, Any]:
    return {
        "untold": listing.untold or None,
        "alerts": [
            {
                "name": f.alert.name,
                "severity": f.alert.severity,
                "state": f.state,
                "since": f.since,
                "summary": f.summary,
                "labels": f.labels,
                "acknowledged_by": f.acknowledged.by if f.acknowledged is not None else None,
            }
            for f in listing.alerts
            if f.since is not None and f.alert.name != WATCHDOG
        ],
    }


def _drift(report: DriftReport) -> dict[str, Any]:
    return {"against": report.against.id, "findings": report.findings}
