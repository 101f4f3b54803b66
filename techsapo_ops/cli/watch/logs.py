"""`techsapo logs`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from techsapo_ops.adapters.log_lines import ORDER, Level, line_level, line_object
from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.cli.arguments import moment
from techsapo_ops.cli.options import JsonOutput, NamedServicesArgument, SpecFile
from techsapo_ops.cli.output import Output, console, write, write_json
from techsapo_ops.cli.recorded_stack import recorded_stack
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.watch.log_filter import LogFilter

if TYPE_CHECKING:
    from collections.abc import Callable

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
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing new lines.")] = False,
    lines: Annotated[
        int, typer.Option("--lines", "-n", metavar="N", min=0, help="The last N lines; 0 means all.")
    ] = 100,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="AGE|TIME", help="Lines since this time, e.g. 1h or 2026-01-31."),
    ] = None,
    level: Annotated[
        str | None,
        typer.Option(
            "--level",
            parser=_level,
            metavar=f"[{'|'.join(ORDER)}]",
            help="Only lines of this level or above.",
        ),
    ] = None,
    request: Annotated[
        str | None, typer.Option("--request", metavar="ID", help="Only lines of the request with this id.")
    ] = None,
    trace: Annotated[
        str | None, typer.Option("--trace", metavar="ID", help="Only lines of the trace with this id.")
    ] = None,
    grep: Annotated[
        str | None,
        typer.Option("--grep", metavar="REGEX", help="Only lines that match this regular expression."),
    ] = None,
    *,
    place: SpecFile,
    out: JsonOutput,
) -> None:
    """Show the services' logs, merged by time; rotated files included.

    On a terminal, each line is shown with time, level, service and message; in a pipe, the lines are
    unchanged. With --json, each line is an object with time, service, level, and either `line` (if the log
    line is JSON itself) or `text`. The id of a request is the X-Request-ID header of its answer; nginx and
    every instance log this id.

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
    unfiltered = stack.logs(wanted, lines=limit, since=start)
    past = list(chosen.of(unfiltered))
    show = _printer(names, out.as_json)
    show(past[-lines:] if lines else past)
    if following is not None:
        show(chosen.of(following))


def _compiled(grep: str | None) -> re.Pattern[str] | None:
    try:
        return re.compile(grep) if grep is not None else None
    except re.error as error:
        raise OpsError(
            msg("--grep: {grep} is not a regular expression: {error}", grep=repr(grep), error=error),
            msg("put \\ before a special character, e.g. \\["),
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


LONGEST = 2000
"""Characters of one value that a terminal is shown; pipes and --json have all of it."""
_COLOURS = ("cyan", "green", "magenta", "blue", "bright_cyan", "bright_magenta")
"""Of the services. Red and yellow say how grave a line is."""
_LEVELS = {"error": "bold red", "warn": "yellow", "info": "", "debug": "dim"}
_TIME = len("2026-01-31 12:00:00")
_SHOWN_ALREADY = ("timestamp", "time", "ts", "level", "message", "msg", "instance")
_APART = ("exception",)
"""Fields of several lines, which are shown below the others."""


def line_document(line: LogLine) -> dict[str, Any]:
    """A line as a JSON object, with the same keys for each.

    Of `line` and `text` one is null: a line that is a JSON object is in `line` as that object, any other in
    `text`.
    """
    fields = line_object(line.text)
    return {
        "time": line.time.isoformat() if line.time else None,
        "service": line.service,
        "level": line_level(line.text),
        "line": fields,
        "text": line.text if fields is None else None,
    }


class LogView:
    """Makes time, level, service and message of lines, each in its column."""

    def __init__(self, services: Sequence[str]) -> None:
        self._width = max((len(name) for name in services), default=0)
        self._colours = {name: _COLOURS[n % len(_COLOURS)] for n, name in enumerate(services)}

    def of(self, lines: Iterable[LogLine]) -> Iterator[Text]:
        """A text for each of `lines`, without what a terminal takes for orders."""
        for line in lines:
            yield self._shown(line)

    def _shown(self, line: LogLine) -> Text:
        from rich.text import Text

        when = f"{line.time.astimezone():%Y-%m-%d %H:%M:%S}" if line.time else ""
        level = line_level(line.text) or ""
        style = _LEVELS.get(level, "")
        name = harmless(line.service)
        head = Text.assemble(
            (f"{when:{_TIME}}", "dim"), " ", (f"{level:5}", style), " ",
            (f"{name:{self._width}}", self._colours.get(line.service, "")), " ",
        )  # fmt: skip
        fields = line_object(line.text)
        if fields is None:
            return head.append(_bounded(line.text), style)
        message, rest = _message(fields)
        head.append(message, style)
        if rest:
            head.append(f"{' ' if message else ''}{rest}", "dim")
        for field in _APART:
            if field in fields:
                head.append("\n" + _indented(_bounded(str(fields[field]))), "dim")
        return head


def _message(fields: dict[str, Any]) -> tuple[str, str]:
    """What a JSON line says, and its other fields as `name=value`."""
    message = next((fields[name] for name in ("message", "msg") if name in fields), "")
    rest = (
        f"{_bounded(name)}={_value(v)}" for name, v in fields.items() if name not in _SHOWN_ALREADY + _APART
    )
    # A line feed of a client's text would else begin a line that looks like another service's.
    return _one_line(_bounded(_plain(message))), _one_line(_bounded(" ".join(rest)))


def _value(value: Any) -> str:
    text = _plain(value)
    bare = isinstance(value, str) and value and not any(c.isspace() or c in '"=' for c in value)
    return _bounded(text if bare or not isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _one_line(text: str) -> str:
    return text.replace("\r\n", " ⏎ ").replace("\n", " ⏎ ")


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def _bounded(text: str) -> str:
    shown = harmless(text[:LONGEST])
    return shown if len(text) <= LONGEST else f"{shown}… ({len(text)} characters; --json has all)"
