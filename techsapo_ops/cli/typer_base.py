"""Commands and groups that speak the reader's language, and all that we use of Typer's internals.

Nothing else imports a private module of Typer, so an upgrade is tried in this file alone. pyproject.toml
has the newest version that it was tried with (docs/decisions/0006-command-line.md).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, wraps
from inspect import Parameter, signature
from itertools import pairwise
from typing import Annotated, Any, TypeVar, cast, get_args, get_origin

import typer
from typer._click import Command
from typer._click.exceptions import NoSuchOption, UsageError
from typer._click.globals import get_current_context
from typer.core import TyperCommand, TyperGroup

from techsapo_ops.catalogue.translations import LANGUAGES, words_of
from techsapo_ops.cli.language import HiddenLangOption, speak, spoken_language

__all__ = ["NoSuchOption", "OpsCommand", "OpsGroup", "UsageError", "get_current_context", "title_words"]

USAGE = "Usage: "
TITLES = {
    "DEPRECATED_STRING": "(deprecated) ",
    "DEFAULT_STRING": "[default: {}]",
    "ENVVAR_STRING": "[env var: {}]",
    "REQUIRED_LONG_STRING": "[required]",
    "ARGUMENTS_PANEL_TITLE": "Arguments",
    "OPTIONS_PANEL_TITLE": "Options",
    "COMMANDS_PANEL_TITLE": "Commands",
    "ERRORS_PANEL_TITLE": "Error",
    "ABORTED_TEXT": "Aborted.",
    "RICH_HELP": "Try [blue]'{command_path} {help_option}'[/] for help.",
}
"""Typer's own words by their names in typer.rich_utils."""
TEXTS = ("help", "short_help", "epilog", "rich_help_panel", "show_default")
"""What of ours a command or a parameter of it may hold."""
_COMMAND = re.compile(r"^\s*(?:(?:techsapo|curl|sudo|crontab|docker|journalctl)\b|[A-Z_]+=)[^。]*$")


class _Translated(Command):
    """Has its help page in the language that is spoken, and takes --lang."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Its parameters, and --lang where it has none of its own."""
        params = super().get_params(ctx)
        return params if any("--lang" in each.opts for each in params) else [*params, _lang()]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read them; a page that comes before its --lang is in that language as well."""
        ours = args[: args.index("--")] if "--" in args else args
        if {"--help", "-h"} & set(ours):
            for option, value in pairwise(ours):
                if option == "--lang" and value in LANGUAGES:
                    speak(value)
        return super().parse_args(ctx, args)

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Write the line of usage."""
        prefix = words_of(spoken_language())(USAGE)
        formatter.write_usage(ctx.command_path, " ".join(self.collect_usage_pieces(ctx)), prefix)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the page: translated now, for only now --lang has been read."""
        title_words()
        for each in (self, *self.get_params(ctx), *getattr(self, "commands", {}).values()):
            _translate(each)
        super().format_help(ctx, formatter)


class OpsCommand(_Translated, TyperCommand):
    """A command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read them; `--bundle --yes` lacks a value, `--bundle=--yes` has one."""
        params = [each for each in self.get_params(ctx) if each.param_type_name == "option"]
        options = {name: each for each in params for name in (*each.opts, *each.secondary_opts)}
        words = iter(args)
        for word in words:
            option = options.get(word)
            positional = option is None and not word.startswith("-")
            if word == "--" or (positional and not ctx.allow_interspersed_args):
                break
            if option is not None and not option.is_flag and next(words, "") in options:
                raise UsageError(f"Option '{word}' requires an argument.", ctx)
        return super().parse_args(ctx, args)


class OpsGroup(_Translated, TyperGroup):
    """A group of commands."""


@cache
def _lang() -> Any:
    """--lang as a parameter of Typer: no help page but the root's shows it, and no function is given it."""
    app = typer.Typer(add_completion=False)

    @app.command()
    def lang(lang: HiddenLangOption = None) -> None: ...

    return typer.main.get_command(app).params[0]


def title_words() -> None:
    """Let Typer's titles be in the language that is spoken."""
    from typer import rich_utils  # Rich takes its time, and only pages and wrong usage need it

    words = words_of(spoken_language())
    for name, title in TITLES.items():
        setattr(rich_utils, name, words(title))
    if not hasattr(rich_utils._make_rich_text, "__wrapped__"):
        rich_utils._make_rich_text = _folding(rich_utils._make_rich_text)


def _folding(make: Callable[..., Any]) -> Callable[..., Any]:
    """Break a full line of what `make` makes anywhere: Japanese has no spaces, and would be cut off."""

    @wraps(make)
    def folded(**given: Any) -> Any:
        text = make(**given)
        text.overflow = "fold"
        return text

    return folded


def paragraphs(text: str) -> Iterator[tuple[str, bool]]:
    """The paragraphs of a help text, and whether each is words, which are translated, or a command."""
    for paragraph in inspect.cleandoc(text).partition("\f")[0].split("\n\n"):
        yield paragraph, not all(_COMMAND.match(line) for line in paragraph.splitlines() if line.strip())


def flat(paragraph: str) -> str:
    """A paragraph on one line, as the catalogue has it."""
    return " ".join(paragraph.split())


def translated(text: str) -> str:
    """A help text in the language that is spoken; what is to be typed stays."""
    words = words_of(spoken_language())
    return "\n\n".join(words(flat(part)) if to_say else part for part, to_say in paragraphs(text))


def _translate(thing: Any) -> None:
    for name in TEXTS:
        text = getattr(thing, name, None)
        if isinstance(text, str) and text:
            setattr(thing, name, translated(text))


Called = TypeVar("Called", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Bundle:
    """Options that come together: declared once, taken by a command as one parameter.

        def plan(*, place: SpecPlace, out: FullOutput) -> None: ...

    `place` is expanded into --file and --environment, `out` into --json, --quiet and --verbose, where these
    parameters are; the command is given the values that they make. Typer itself knows no such thing.

    It is part of a parameter's annotation: `options` are an annotation and a default by name. The
    annotated type is called with the values by these names.
    """

    options: Mapping[str, tuple[Any, Any]]

    def parameters(self) -> Iterator[Parameter]:
        """What Typer is shown."""
        for name, (annotation, default) in self.options.items():
            yield Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def expanded(command: Called, *, of_group: bool = False) -> Called:
    """`command` as Typer takes it: with the options of its bundles in place of each.

    What a group does by itself, `of_group`, is not done where a command below it is called: that one has
    options of its own.
    """
    shown: list[Parameter] = []
    made: dict[str, tuple[Callable[..., Any], Bundle]] = {}
    for parameter in signature(command, eval_str=True).parameters.values():
        bundle = _bundle(parameter.annotation)
        if bundle is None:
            shown.append(parameter.replace(kind=Parameter.KEYWORD_ONLY))
        else:
            made[parameter.name] = (get_args(parameter.annotation)[0], bundle)
            shown.extend(bundle.parameters())
    if not made:
        return command

    @wraps(command)
    def run(**given: Any) -> Any:
        if of_group and get_current_context().invoked_subcommand is not None:
            return None
        values = {
            name: make(**{option: given.pop(option) for option in bundle.options})
            for name, (make, bundle) in made.items()
        }
        return command(**given, **values)

    del run.__wrapped__  # Typer would read the signature of that one
    run.__signature__ = signature(command).replace(parameters=shown)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return cast(Called, run)


def _bundle(annotation: Any) -> Bundle | None:
    if get_origin(annotation) is not Annotated:
        return None
    return next((given for given in get_args(annotation)[1:] if isinstance(given, Bundle)), None)


class CommandGroup(typer.Typer):
    """A group of commands, such as `techsapo certs`, whose parameters may be bundles.

    By itself it shows its help, where it does nothing else.
    """

    def __init__(self, *, invoke_without_command: bool = False, **settings: Any) -> None:
        settings = {"no_args_is_help": not invoke_without_command, **settings}
        super().__init__(
            cls=OpsGroup,
            add_completion=False,
            pretty_exceptions_enable=False,
            invoke_without_command=invoke_without_command,
            **settings,
        )

    def command(self, *args: Any, **settings: Any) -> Callable[[Called], Called]:
        """Register a command; it stays as it is for whoever calls it from Python."""
        return _registering(super().command(*args, cls=OpsCommand, **settings))

    def callback(self, *args: Any, **settings: Any) -> Callable[[Called], Called]:
        """Register what runs before any command of the group, or in its place."""
        return _registering(super().callback(*args, **settings), of_group=True)


def _registering(register: Callable[[Any], Any], *, of_group: bool = False) -> Callable[[Called], Called]:
    def decorate(command: Called) -> Called:
        register(expanded(command, of_group=of_group))
        return command

    return decorate
