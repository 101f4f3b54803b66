"""Commands that are imported when they run, not when they are listed.

`--help`, completion and "did you mean" need names and one line of help only; importing every command
module for them would make each start a third slower (docs/decisions/0006-command-line.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from itertools import takewhile
from typing import Any

import typer

from techsapo_ops.cli.language import speak, spoken
from techsapo_ops.cli.typer_base import (
    CommandGroup,
    NoSuchOption,
    OpsCommand,
    OpsGroup,
    UsageError,
    title_words,
)
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

ROOM = "techsapo_ops.cli"


@dataclass(frozen=True, slots=True)
class LazyEntry:
    """One line of the command table: where the command lives and what `--help` says of it.

    `target` is a function, or a `typer.Typer` for a group of commands. `usage_exit` is the exit code of
    wrong usage (2 everywhere but in `health` and `status`, whose 2 means "down"). `passes_on` says that all
    after its first argument is for another program.
    """

    module: str
    target: str
    help: str
    panel: str
    usage_exit: int = 2
    passes_on: bool = False

    def load(self) -> Callable[..., Any] | typer.Typer:
        """Import the command's module and return its target."""
        target: Callable[..., Any] | typer.Typer = getattr(
            import_module(f"{ROOM}.{self.module}"), self.target
        )
        return target


class LazyCommand(OpsCommand):
    """Stands for a command until it is called."""

    def __init__(self, name: str, entry: LazyEntry) -> None:
        super().__init__(name, help=entry.help, rich_help_panel=entry.panel)
        self.entry = entry

    def resolve(self) -> Any:
        """The real command."""
        target = self.entry.load()
        if isinstance(target, typer.Typer):
            group = typer.main.get_command(target)
            group.help = group.help or self.entry.help
            return group
        app = CommandGroup()
        settings = {"allow_interspersed_args": False} if self.entry.passes_on else None
        app.command(name=self.name, context_settings=settings)(target)
        return typer.main.get_command(app)

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The real command's context: from here on the stub is out of the way."""
        try:
            return self.resolve().make_context(info_name, args, parent=parent, **extra)
        except UsageError as error:
            error.exit_code = self.entry.usage_exit
            raise


@contextmanager
def _harmless_usage(gone: Mapping[str, str]) -> Iterator[None]:
    """Wrong usage repeats what was typed, perhaps the name of a file: nothing in it acts on a terminal.

    An option that is in `gone`, after its command, is answered with what to do instead.
    """
    try:
        yield
    except UsageError as error:
        if isinstance(error, NoSuchOption) and error.ctx is not None:
            _refuse_gone(f"{error.ctx.command_path.partition(' ')[2]} {error.option_name}", gone)
        from techsapo_ops.adapters.terminal import harmless

        message = spoken(error.message).removeprefix("Value error, ")  # pydantic's, below Typer
        error.message = harmless(message)
        title_words()
        raise


def _refuse_gone(old: str, gone: Mapping[str, str]) -> None:
    if old in gone:
        raise OpsError(msg("`techsapo {old}` no longer exists", old=old), gone[old], exit_code=2) from None


class LazyGroup(OpsGroup):
    """A group whose commands come from a table of entries."""

    table: dict[str, LazyEntry]
    daily: frozenset[str]
    looking: frozenset[str]
    moved: dict[str, str]
    gone: dict[str, str]

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self._lists_all = False
        for name, entry in self.table.items():
            self.add_command(LazyCommand(name, entry), name)

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context. `--help` ends the parsing, so --all is looked for before, wherever it is."""
        speak(None)
        self._lists_all = "--all" in takewhile(lambda word: word not in self.table, args)
        with _harmless_usage(self.gone):
            return super().make_context(info_name, args, parent=parent, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with _harmless_usage(self.gone):
            return super().invoke(ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the page: the commands for every day, or all of them."""
        for name, command in self.commands.items():
            command.hidden = not (self._lists_all or name in self.daily)
        super().format_help(ctx, formatter)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is called. A mistyped name is answered by no command that changes things."""
        for old in (args[0], " ".join(args[:2])):
            if (present := self.moved.get(old)) is not None:
                raise OpsError(
                    msg("`techsapo {old}` is now `techsapo {present}`", old=old, present=present),
                    msg("`techsapo {group} --help` shows how to use the command", group=present.split()[0]),
                    exit_code=2,
                )
        _refuse_gone(args[0], self.gone)
        try:
            return super().resolve_command(ctx, args)
        except UsageError as error:
            alike = get_close_matches(args[0], self.table)
            # Where the closest one changes things it was meant, and no other would be right.
            if names := ", ".join(map(repr, takewhile(self.looking.__contains__, alike))):
                error.message = f"{error.message.rstrip('.')}. Did you mean {names}?"
            raise


def lazy_group(
    entries: dict[str, LazyEntry],
    *,
    daily: frozenset[str],
    looking: frozenset[str],
    moved: dict[str, str],
    gone: dict[str, str],
) -> type[LazyGroup]:
    """A group class for `typer.Typer(cls=…)` over `entries`.

    `--help` lists the `daily` ones, `--help --all` the others too. `looking` are those that change nothing
    by themselves; no other is suggested for a mistyped name. `moved` has the present spelling of old ones, of
    one word or two; `gone` says what to do instead of commands and options that there are no more.
    """
    given = {"table": entries, "daily": daily, "looking": looking, "moved": moved, "gone": gone}
    return type("Commands", (LazyGroup,), given)
