"""How the command line looks: data on stdout, talk on stderr, colour only where it means something.

All that the command line says goes through here, and loses what a terminal takes for orders: logs, answers,
names of files and hosts, and what tools and vendors say may hold anything. Our own colours come after it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, TextIO

from techsapo_ops.adapters.terminal import harmless, harmless_json
from techsapo_ops.cli.language import spoken, spoken_words
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {
    "good": "green",
    "bad": "bold red",
    "warn": "yellow",
    "dim": "dim",
    "strong": "bold",
}
_STATE_STYLES = {
    "running": "good",
    "healthy": "good",
    "ok": "good",
    "ready": "good",
    "starting": "warn",
    "degraded": "warn",
    "backoff": "warn",
    "absent": "dim",
    "untested": "dim",
    "skipped": "dim",
    "stopped": "dim",
    "crashed": "bad",
    "failed": "bad",
    "down": "bad",
    "missing": "bad",
    "warning": "warn",
    "note": "dim",
}
_PIPE_WIDTH = 10_000
_BUSY_SECONDS = 1.0


def console(*, stderr: bool = False) -> Console:
    """A rich console for one stream; on a pipe it neither colours nor wraps. It knows no markup."""
    from techsapo_ops.cli.console import HarmlessConsole

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else _PIPE_WIDTH
    return HarmlessConsole(
        file=stream, width=width, highlight=False, soft_wrap=False, markup=False, emoji=False
    )


class Output:
    """What one command says. `quiet` silences talk, `as_json` keeps stdout for JSON alone."""

    def __init__(self, *, as_json: bool = False, quiet: bool = False, verbose: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.verbose = verbose

    def data(self, text: str) -> None:
        """Print a result on stdout; nothing while JSON was asked for."""
        if not self.as_json:
            write(text)

    def json(self, value: Any) -> None:
        """Print `value` as JSON on stdout, Japanese as it is; messages in English, which does not change.

        A dataclass becomes an object of its fields, a time text by ISO 8601, anything else its
        `str()`.
        """
        print(harmless_json(json.dumps(value, ensure_ascii=False, indent=2, default=plain)))

    def say(self, text: str) -> None:
        """Tell how the work goes, on stderr."""
        if not self.quiet:
            write(text, stderr=True)

    @contextmanager
    def busy(self, text: str) -> Iterator[Callable[[], None]]:
        """Tell `text` on a terminal where the block takes longer than a second.

        What it yields is called where something else is told from then on.
        """
        from threading import Timer

        timer = Timer(_BUSY_SECONDS, self.say, [text])
        timer.daemon = True
        if sys.stderr.isatty():
            timer.start()
        try:
            yield timer.cancel
        finally:
            timer.cancel()

    def detail(self, text: str) -> None:
        """Tell what only `--verbose` wants, on stderr."""
        if self.verbose:
            self.say(text)

    def warn(self, text: str) -> None:
        """Warn on stderr, also with --quiet."""
        _tell("warning:", text, colour="33")

    def next(self, command: str) -> None:
        """The next step, last: a command that can be pasted as it is, about the same spec and environment."""
        if not self.quiet and not self.as_json:
            from techsapo_ops.cli.next_command import completed

            _tell("next:", completed(command), weight="2")

    def advise(self, text: str) -> None:
        """What to do next: the command in `text` alone can be pasted, so the rest of it comes before."""
        from techsapo_ops.cli.next_command import command_in

        command = command_in(text)
        if command != text.strip("`") and not self.as_json:
            self.say(text)
        if command:
            self.next(command)

    def table(
        self, columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[str] = ()
    ) -> None:
        """Print an aligned table on stdout; known state words get their colour.

        `right` names the columns that are aligned right.
        """
        if self.as_json:
            return
        console().print(make_table(columns, rows, right=right))


def document(value: Any, *without: str) -> dict[str, Any]:
    """The fields of a dataclass by name, for `Output.json`, but for those in `without`."""
    return {each.name: getattr(value, each.name) for each in fields(value) if each.name not in without}


def plain(value: Any) -> Any:
    """`value` in the words of JSON, which has none for it; for `json.dumps`."""
    if is_dataclass(value):
        return document(value)
    if isinstance(value, Mapping):
        return dict(value)
    return value.isoformat() if isinstance(value, date) else str(value)


def filled(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> tuple[list[str], list[list[object]]]:
    """A table without the columns that no row has anything in, the first one apart."""
    shown = [n for n in range(len(columns)) if n == 0 or any(row[n] not in {"", "-"} for row in rows)]
    return [columns[n] for n in shown], [[row[n] for n in shown] for row in rows]


def make_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[str] = ()) -> Any:
    """A table in the house's style, as rich prints it."""
    from techsapo_ops.cli.console import Cell, FoldingTable
    from techsapo_ops.cli.watch.services_view import STATE_COLUMNS, state_word

    plain = [[cell if isinstance(cell, str) else str(cell) for cell in row] for row in rows]
    states = {number for number, column in enumerate(columns) if column.lower() in STATE_COLUMNS}
    words, aligned = spoken_words(), set(right)
    return FoldingTable(
        [words(column.upper()) for column in columns],
        [
            [
                Cell(harmless(spoken(state_word(cell) if number in states else cell)), state_style(cell))
                for number, cell in enumerate(row)
            ]
            for row in plain
        ],
        frozenset(number for number, column in enumerate(columns) if column in aligned),
    )


def state_style(word: str) -> str:
    """The colour of a state word, or no style."""
    return _STYLES.get(_STATE_STYLES.get(word, ""), "")


def harmless_values(value: Any) -> Any:
    """`value`, read from JSON, with harmless texts: of some, rich's Text would leave out what they held."""
    from techsapo_ops.masking.fields import with_texts  # for answers of the app alone

    return with_texts(value, harmless)


def write(text: str, *, stderr: bool = False) -> None:
    """Print a line at once, on stdout or on stderr."""
    _whole(harmless(spoken(text)), sys.stderr if stderr else sys.stdout)


def write_json(value: Any) -> None:
    """Print `value` as one line of JSON on stdout, at once."""
    _whole(harmless_json(json.dumps(value, ensure_ascii=False)), sys.stdout)


def _tell(word: str, text: str, *, weight: str = "", colour: str = "") -> None:
    """A line on stderr that begins with a coloured `word`; `weight` and `colour` are numbers of ISO 6429.

    The terminal wraps it: a line broken here would break the paths and commands in it for copying. As rich
    prints it, which takes longer to import than `ps` takes to look.
    """
    word = spoken_words()(word)
    line = f"{word} {harmless(spoken(text))}".expandtabs()
    codes = [weight, "" if os.environ.get("NO_COLOR") else colour]
    if _coloured() and any(codes):
        line = f"\x1b[{';'.join(filter(None, codes))}m{word}\x1b[0m{line[len(word) :]}"
    _whole(line, sys.stderr)


def _whole(line: str, stream: TextIO) -> None:
    """Print a line by one write: `print` takes two, between which another thread's line would come."""
    stream.write(f"{line}\n")
    stream.flush()


def _coloured() -> bool:
    """Whether stderr takes colours, by the same variables as rich."""
    if os.environ.get("TERM", "").lower() in {"dumb", "unknown"}:
        return False
    return bool(os.environ.get("FORCE_COLOR")) or sys.stderr.isatty()


def print_error(error: OpsError) -> None:
    """Print an error as `error: what and where` and its hint, on stderr.

    Where this user was refused a file, the hint is as whom to run the command.
    """
    problems = getattr(error, "problems", ())
    if problems:
        for problem in problems:
            _tell("error:", str(problem), weight="1", colour="31")
        return
    from techsapo_ops.cli.next_command import as_whom

    _tell("error:", error.message, weight="1", colour="31")
    if hint := as_whom(error) or error.hint:
        _tell("try:", hint, weight="2")


def interactive() -> bool:
    """Whether a person can be asked: both ends are a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str, *, yes: bool) -> bool:
    """Ask on a terminal. Without one the answer is `yes`'s value: a script says --yes or nothing is done."""
    if yes:
        return True
    if not interactive():
        return False
    import typer

    return typer.confirm(harmless(spoken(question)), default=False, err=True)


def require_yes(question: str, *, yes: bool) -> None:
    """Ask on a terminal, unless `yes`. Raises OpsError where nobody agrees."""
    if not confirm(question, yes=yes):
        # Whoever has answered "no" has been asked.
        hint = "" if interactive() else msg("can't ask for confirmation without a terminal: pass --yes")
        raise OpsError(msg("nothing was changed"), hint)
