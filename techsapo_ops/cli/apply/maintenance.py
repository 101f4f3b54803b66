"""`techsapo maintenance`: users get a page that asks them to come back later."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from techsapo_ops.apply.maintenance import turn_off, turn_on
from techsapo_ops.cli.arguments import TIMES, span_of
from techsapo_ops.cli.environment import acting_user
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import JsonOutput, QuietOutput, SpecFile, SpecPlace
from techsapo_ops.cli.place import layout_beside
from techsapo_ops.cli.typer_base import CommandGroup
from techsapo_ops.engines.at_work import at_work
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.maintenance import maintenance_of

app = CommandGroup()


@app.command()
def on(
    message: Annotated[str, typer.Option("--message", help="Message to the users, in your words.")] = "",
    until: Annotated[
        str | None,
        typer.Option("--until", help="Planned end, e.g. 2h or 2026-12-01T06:00.", show_default="open"),
    ] = None,
    *,
    place: SpecPlace,
    out: QuietOutput,
) -> None:
    """Answer with 503 until `techsapo maintenance off`: users get a page, and programs get a problem
    document.

    The app, the jobs and monitoring keep running; /ping, /health and /metrics are answered. Maintenance
    lasts through `up`, `restart` and a reboot. Alerts on symptoms that users see are silenced until the time
    in --until, or for 24 h if --until is not given.

    Examples:

      techsapo maintenance on

      techsapo maintenance on --until 2h --message "新しいディスクに移行します"
    """
    ends = _until(until)
    stack = open_stack(place.open())
    with at_work(stack.layout, 0.0):
        before = maintenance_of(stack.layout)
        made = turn_on(stack, message, ends, acting_user(), out.warn)
    out.data(str(made))
    if before is not None and (before.message, before.until) != (made.message, made.until):
        out.say(msg("this replaces the earlier setting: {before}", before=before))
    out.next("techsapo maintenance off")


@app.command()
def off(*, place: SpecPlace, out: QuietOutput) -> None:
    """End maintenance: users have access again.

    Examples:

      techsapo maintenance off
    """
    stack = open_stack(place.open())
    with at_work(stack.layout, 0.0):
        ended = turn_off(stack, out.warn)
    out.say(
        msg("maintenance is over: users have access again")
        if ended is not None
        else msg("maintenance is off")
    )


@app.command()
def status(*, place: SpecFile, out: JsonOutput) -> None:
    """Show whether maintenance is on, since when, by whom and until when.

    Examples:

      techsapo maintenance status
    """
    maintenance = maintenance_of(layout_beside(place.stack_file()))
    if out.as_json:
        details = (
            {} if maintenance is None else {**maintenance.to_json(), "forgotten": maintenance.forgotten()}
        )
        out.json({"on": maintenance is not None, **details})
    else:
        out.data(str(maintenance) if maintenance is not None else msg("maintenance is off"))


def _until(given: str | None) -> datetime | None:
    """A moment, or a length from now on. Raises OpsError for what is neither, or is over."""
    if given is None:
        return None
    try:
        ends = datetime.fromisoformat(given).astimezone(UTC)
    except (ValueError, OverflowError):
        ends = datetime.now(UTC) + span_of("--until", given, TIMES)
    if ends <= datetime.now(UTC):
        raise OpsError(
            msg("--until: {given} is in the past", given=given), msg("give a time in the future"), exit_code=2
        )
    return ends
