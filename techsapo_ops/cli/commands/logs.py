"""`techsapo logs`."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.cli.arguments import moment
from techsapo_ops.cli.options import DEFAULT_SPEC, JsonOutput
from techsapo_ops.cli.output import Output, console, write_json
from techsapo_ops.cli.recorded_stack import recorded_stack
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.watch.log_filter import LogFilter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from techsapo_ops.stack.observed import LogLine

_COLOURS = ("cyan", "green", "magenta", "blue", "yellow")


class LogLevel(StrEnum):
    """The levels, from the gravest down."""

    ERROR = "error"
    WARN = "warn"
    INFO = "info"
    DEBUG = "debug"


def logs(
    services: Annotated[
        list[str] | None, typer.Argument(metavar="[SERVICE]…", help="Names or kinds; default: all.")
    ] = None,
    file: Annotated[Path, typer.Option("--file", help="The spec.")] = DEFAULT_SPEC,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are written.")] = False,
    lines: Annotated[
        int, typer.Option("--lines", "-n", metavar="N", min=0, help="The last N lines; 0 is all.")
    ] = 100,
    since: Annotated[
        str | None, typer.Option("--since", metavar="AGE|TIME", help="From then on, e.g. 1h or 2026-01-31.")
    ] = None,
    level: Annotated[
        LogLevel | None, typer.Option("--level", help="Only lines that are at least as grave.")
    ] = None,
    request: Annotated[
        str | None, typer.Option("--request", metavar="ID", help="Only lines of the request with this id.")
    ] = None,
    grep: Annotated[
        str | None, typer.Option("--grep", metavar="REGEX", help="Only lines that match.")
    ] = None,
    *,
    out: JsonOutput,
) -> None:
    """Show the services' logs, merged by time; rotated files included.

    With --json every line is an object of its own: service, time, text. The id of a request is its answer's
    X-Request-ID; nginx and every instance log it.

    Examples:

      techsapo logs app -f

      techsapo logs --level warn --since 1h

      techsapo logs --request req_4f0c2a

      techsapo logs prometheus -n 20
    """
    chosen = LogFilter(level.value if level else None, request, _compiled(grep))
    start = moment(since) if since is not None else None
    stack = recorded_stack(file)
    wanted = tuple(services or ())
    names = stack.log_names(wanted)
    if not names:
        Output().say("there are no logs yet")
        return
    # Lines are picked before the last N are counted, so that N matching ones are shown.
    limit = None if lines == 0 or since is not None or chosen else lines
    following = stack.logs(wanted, follow=True, lines=0) if follow else None
    found = stack.logs(wanted, lines=limit, since=start)
    past = list(chosen.of(found))
    show = _printer(names, out.as_json)
    show(past[-lines:] if lines else past)
    if following is not None:
        show(chosen.of(following))


def _compiled(grep: str | None) -> re.Pattern[str] | None:
    try:
        return re.compile(grep) if grep is not None else None
    except re.error as error:
        raise OpsError(f"--grep {grep}: {error}", "it is a Python regular expression", exit_code=2) from None


def _printer(names: list[str], as_json: bool) -> Any:
    if as_json:
        return _print_json
    from rich.text import Text

    out = console()
    width = max(len(name) for name in names)
    colours = {name: _COLOURS[n % len(_COLOURS)] for n, name in enumerate(names)}

    def show(lines: Iterable[LogLine]) -> None:
        for line in lines:
            if len(names) == 1:
                out.print(Text(harmless(line.text)), soft_wrap=True)
            else:
                head = Text(f"{line.service:{width}} | ", style=colours.get(line.service, ""))
                out.print(head + Text(harmless(line.text)), soft_wrap=True)

    return show


def _print_json(lines: Iterator[LogLine]) -> None:
    for line in lines:
        when = line.time.isoformat() if line.time else None
        entry = {"service": line.service, "time": when, "text": line.text}
        write_json(entry)
