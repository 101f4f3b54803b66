"""Commands that are imported when they run, not when they are listed.

`--help`, completion and "did you mean" need names and one line of help only; importing every command
module for them would make each start a third slower (docs/decisions/0003-lazy-commands.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer._click.exceptions import (
    NoSuchOption,
    UsageError,
)  # typer does not export the base of its usage errors
from typer.core import TyperCommand, TyperGroup

from techsapo_ops.cli.bundles import expanded
from techsapo_ops.cli.help_words import in_help, title_words, usage_words
from techsapo_ops.cli.lang_option import with_lang
from techsapo_ops.cli.language import speak, spoken

ROOM = "techsapo_ops.cli.commands"


@dataclass(frozen=True, slots=True)
class LazyEntry:
    """One line of the command table: where the command lives and what `--help` says of it.

    `target` is a function, or a `typer.Typer` for a group of commands. `usage_exit` is the exit code of
    wrong usage (2 everywhere but in `health`, whose 2 means "down"). `passes_on` says that all after its
    first argument is for another program.
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


class LazyCommand(TyperCommand):
    """Stands for a command until it is called."""

    def __init__(self, name: str, entry: LazyEntry) -> None:
        super().__init__(name, help=entry.help, rich_help_panel=entry.panel)
        self.entry = entry

    def resolve(self) -> Any:
        """The real command."""
        target = self.entry.load()
        if isinstance(target, typer.Typer):
            app = target
        else:
            app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            settings = {"allow_interspersed_args": False} if self.entry.passes_on else None
            app.command(name=self.name, context_settings=settings)(expanded(target))
        return in_help(with_lang(typer.main.get_command(app)))

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The real command's context: from here on the stub is out of the way."""
        try:
            return self.resolve().make_context(info_name, args, parent=parent, **extra)
        except UsageError as error:
            error.exit_code = self.entry.usage_exit
            raise


@contextmanager
def _our_usage() -> Iterator[None]:
    """Wrong usage in our words: typer reads values by pydantic, and says so before its own message."""
    try:
        yield
    except UsageError as error:
        from techsapo_ops.adapters.terminal import harmless

        _suggest(error)
        error.message = harmless(spoken(error.message)).removeprefix("Value error, ")
        said = usage_words(error.format_message())
        error.format_message = lambda: said  # type: ignore[method-assign]
        title_words()
        raise


def _suggest(error: UsageError) -> None:
    """Put in what may have been meant, in the place of what Typer finds spelt alike."""
    from techsapo_ops.cli import suggest

    command = error.ctx.command if error.ctx is not None else None
    if error.ctx is None or command is None:
        return
    error.message = suggest.chosen_in_the_spec(error.message)
    if isinstance(error, NoSuchOption):
        alike = error.possibilities or ()
        error.possibilities = suggest.options(error.option_name, command.get_params(error.ctx), alike)
        if error.ctx.parent is None and (told := suggest.behind_a_command(error.message, error.option_name)):
            error.message, error.possibilities = told, None
    elif isinstance(command, TyperGroup):
        group = error.ctx.command_path.partition(" ")[2]
        itself = command.invoke_without_command
        error.message = suggest.suggested(error.message, group, command.commands, itself=itself)
    else:
        error.message = suggest.unexpected(error.message, command.get_params(error.ctx))


class LazyGroup(TyperGroup):
    """A group whose commands come from a table of entries."""

    table: dict[str, LazyEntry]

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, entry in self.table.items():
            self.add_command(LazyCommand(name, entry), name)

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context. Wrong usage repeats what was typed, perhaps the name of a file: made harmless."""
        speak(None)
        in_help(self)
        with _our_usage():
            return super().make_context(info_name, args, parent=parent, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Run the command, whose own wrong usage is harmless too."""
        with _our_usage():
            return super().invoke(ctx)


def lazy_group(entries: dict[str, LazyEntry]) -> type[LazyGroup]:
    """A group class for `typer.Typer(cls=…)` over `entries`."""
    return type("Commands", (LazyGroup,), {"table": entries})
