"""`techsapo logs`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, cast

import typer

from techsapo_ops.cli.arguments import moment
from techsapo_ops.cli.options import JsonOutput, NamedServicesArgument, SpecFile
from techsapo_ops.cli.output import Output, console, write, write_json
from techsapo_ops.cli.recorded_stack import recorded_stack
from techsapo_ops.cli.watch.log_lines_view import LogView, line_document
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.watch.log_filter import ORDER, Level, LogFilter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rich.console import Console
    from rich.text import Text

    from techsapo_ops.stack.observed import LogLine


_ALSO = {"warning": "warn", "err": "error", "critical": "error", "crit": "error", "fatal": "error"}
"""As other programs call them."""


def _level(word: str) -> str:
    level = _ALSO.get(word.lower(), word.lower())
    if level not in ORDER:
        choices = ", ".join(map(repr, ORDER))
        raise typer.BadParameter(msg("{value} is not one of {choices}.", value=repr(word), choices=choices))
    return level


def logs(
    services: NamedServicesArgument = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are written.")] = False,
    lines: Annotated[
        int, typer.Option("--lines", "-n", metavar="N", min=0, help="The last N lines; 0 is all.")
    ] = 100,
    since: Annotated[
        str | None, typer.Option("--since", metavar="AGE|TIME", help="From then on, e.g. 1h or 2026-01-31.")
    ] = None,
    level: Annotated[
        str | None,
        typer.Option(
            "--level",
            parser=_level,
            metavar=f"[{'|'.join(ORDER)}]",
            help="Only lines that are at least as grave.",
        ),
    ] = None,
    request: Annotated[
        str | None, typer.Option("--request", metavar="ID", help="Only lines of the request with this id.")
    ] = None,
    trace: Annotated[
        str | None, typer.Option("--trace", metavar="ID", help="Only lines of the trace with this id.")
    ] = None,
    grep: Annotated[
        str | None, typer.Option("--grep", metavar="REGEX", help="Only lines that match.")
    ] = None,
    *,
    place: SpecFile,
    out: JsonOutput,
) -> None:
    """Show the services' logs, merged by time; rotated files included.

    On a terminal: time, level, service, message; on a pipe the lines as they are. With --json every line is
    an object of its own: time, service, level, and `line`, where it is JSON itself, else `text`. The id of a
    request is its answer's X-Request-ID; nginx and every instance log it.

    Examples:

      techsapo logs app -f

      techsapo logs --level warn --since 1h

      techsapo logs --request req_4f0c2a

      techsapo logs prometheus -n 20
    """
    chosen = LogFilter(cast("Level | None", level), request, _compiled(grep), trace)
    start = moment(since) if since is not None else None
    stack = recorded_stack(place.stack_file())
    wanted = tuple(services or ())
    names = stack.log_names(wanted)
    if not names:
        Output().say(msg("there are no logs yet"))
        return
    for host, why in stack.away().items():
        Output().warn(msg("{machine} can't be reached: {why}", machine=host, why=why))
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
        raise OpsError(
            msg("--grep: {grep} is no regular expression: {error}", grep=repr(grep), error=error),
            msg("write a special character as itself by \\ before it, e.g. \\["),
            exit_code=2,
        ) from None


def _printer(names: list[str], as_json: bool) -> Callable[[Iterable[LogLine]], None]:
    if as_json:
        return _print_json
    out = console()
    if out.is_terminal:
        return lambda lines: _print_all(out, LogView(names).of(lines))
    return lambda lines: _print_plain(lines, names)


def _print_all(out: Console, texts: Iterable[Text]) -> None:
    for text in texts:
        out.print(text, soft_wrap=True)


def _print_plain(lines: Iterable[LogLine], names: list[str]) -> None:
    """The lines as they are, for another program; of several services with whose they are."""
    width = max(len(name) for name in names)
    for line in lines:
        write(line.text if len(names) == 1 else f"{line.service:{width}} | {line.text}")


def _print_json(lines: Iterable[LogLine]) -> None:
    for line in lines:
        write_json(line_document(line))
