"""`techsapo status`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.cli.arguments import moment
from techsapo_ops.cli.language import spoken
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import JsonOutput, SpecPlace
from techsapo_ops.cli.output import console, state_style, write, write_json
from techsapo_ops.cli.views.status import LABEL, Line, lines, next_of
from techsapo_ops.cli.views.status_json import value
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.status.status import StackStatus, status_of
from techsapo_ops.operations.status.week import LONGEST, week_of
from techsapo_ops.schedule.cron import local_zone

if TYPE_CHECKING:
    from rich.text import Text

    from techsapo_ops.cli.options import SpecChoice
    from techsapo_ops.cli.output import Output
    from techsapo_ops.stack.stack import Stack

EXIT_CODES = {"healthy": 0, "degraded": 1, "down": 2}
WRONG = 3


def status(
    *,
    place: SpecPlace,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again and again, until Ctrl-C.")] = False,
    interval: Annotated[
        float, typer.Option("--interval", metavar="SECONDS", min=1, max=3600, help="With --watch: how often.")
    ] = 5.0,
    timeout: Annotated[
        float,
        typer.Option("--timeout", metavar="SECONDS", min=0.05, max=300, help="Longest wait for a part."),
    ] = 10.0,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="AGE|TIME", help=f"What there is to say of that time, {LONGEST.days}d at most."
        ),
    ] = None,
    out: JsonOutput,
) -> None:
    """Show the whole stack on one screen: health, alerts and who has them, backups, money, jobs.

    All parts are asked at once. One that can't be read says why in its line, and no other waits for it.
    With --watch --json each look is one line.

    With --since it shows the time from then on: incidents and who had them, noisy alerts, the last trial
    restore, cost with that of the time before, security updates, silences, what expires. The job report
    sends that each week; `techsapo jobs run report` sends it now.

    Ends as `health` does: with 0 healthy, 1 degraded, 2 down, 3 for a wrong spec or wrong usage.

    Examples:

      techsapo status

      techsapo status --watch --interval 10

      techsapo status --since 7d

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

    def look() -> StackStatus:
        return status_of(stack, timeout=timeout, now=datetime.now(UTC), zone=zone)

    if watch:
        _watch(look, stack, interval, as_json=out.as_json)
        return
    found = look()
    if out.as_json:
        out.json(value(found, stack))
    else:
        _print(lines(found, stack))
        if step := next_of(found):
            out.advise(step)
    raise typer.Exit(EXIT_CODES[found.status])


def _since(place: SpecChoice, since: str, out: Output) -> None:
    now = datetime.now().astimezone()
    begin = moment(since, now)
    if not timedelta(hours=1) <= now - begin <= LONGEST:
        raise OpsError(
            msg("--since {since}: a time from 1h to {days}d ago is shown", since=since, days=LONGEST.days),
            msg("write e.g. --since 7d"),
            exit_code=WRONG,
        )
    week = week_of(open_stack(place.open()), begin, now)
    if out.as_json:
        out.json(week.to_json())
    for line in (week.title, *week.lines):
        out.data(line)


def _print(shown: Iterable[Line]) -> None:
    """On a terminal in colours; a line is never broken on a pipe."""
    screen = console()
    if not screen.is_terminal:
        for line in shown:
            write(str(line))
        return
    for line in shown:
        screen.print(_coloured(line, screen.width))


def _coloured(line: Line, width: int) -> Text:
    from rich.cells import cell_len
    from rich.text import Text

    from techsapo_ops.adapters.line_breaks import wrapped

    label = spoken(line.label)
    # No line begins below the labels: the rest of a long one would look like a part of its own.
    told = harmless(spoken(line.text))
    indent = LABEL + 1 + len(told) - len(told.lstrip())
    text = Text(no_wrap=True, overflow="ignore")
    for number, part in enumerate(wrapped(told.lstrip(), max(width - indent, LABEL))):
        head = label if number == 0 else ""
        text.append("\n" if number else "")
        text.append(head + " " * (indent - cell_len(head)), "bold")
        text.append(part, state_style(line.state))
    text.rstrip()
    return text


def _watch(look: Callable[[], StackStatus], stack: Stack, interval: float, *, as_json: bool) -> None:
    """Look every `interval` seconds until Ctrl-C, which is the way to end it and no failure."""
    screen = console()
    try:
        if as_json or not screen.is_terminal:
            while True:
                began = time.monotonic()
                found = look()
                if as_json:
                    write_json(value(found, stack))
                else:
                    _print([*lines(found, stack), Line("", "")])
                _rest(began, interval)
        _redraw(look, stack, interval)
    except KeyboardInterrupt:
        return


def _redraw(look: Callable[[], StackStatus], stack: Stack, interval: float) -> None:
    from rich.console import Group
    from rich.live import Live

    screen = console()
    with Live(console=screen, auto_refresh=False) as live:
        while True:
            began = time.monotonic()
            shown = [_coloured(line, screen.width) for line in lines(look(), stack)]
            live.update(Group(*shown), refresh=True)
            _rest(began, interval)


def _rest(began: float, interval: float) -> None:
    time.sleep(max(interval - (time.monotonic() - began), 0.1))
