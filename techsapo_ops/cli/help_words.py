"""What Typer says, in the language that is spoken: help pages, and wrong usage.

Typer has its words in English alone. Those of ours in it, such as the help of an option, are in the catalogue
as they are written; its own are told by their shape, for it gives them with the values already in them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from techsapo_ops.catalogue.translations import LANGUAGES, words_of
from techsapo_ops.cli.language import spoken, spoken_language
from techsapo_ops.messages import Message, Words

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
USAGE = "Usage: {usage}"
OURS = (
    "must be a whole number",
    "must be a number",
    "must be at least {bound}",
    "must be more than {bound}",
    "must be at most {bound}",
    "must be less than {bound}",
    "must be {choices}",
    "Got unexpected extra argument(s) ({arguments}); name a spec with --file",
    "Got unexpected extra argument(s) ({arguments}); put the question in quotes",
    "No such option: {name}; it belongs behind a command, e.g. {example}",
    "swarm is chosen in the spec, by `engine` and `hosts`: see docs/three-machines.md",
)
"""What we say in the place of Typer's words, or add to them. Longer first."""
SENTENCES = (
    "Invalid value for {parameter}: {problem}",
    "Invalid value: {problem}",
    "Missing argument {parameter}.",
    "Missing option {parameter}.",
    "Missing option {parameter}. {more}",
    "Missing argument {parameter}. {more}",
    "Missing command.",
    "No such command {name}. Did you mean {suggestions}?",
    "No such command {name}.",
    "No such option: {name} (Possible options: {suggestions})",
    "No such option: {name}",
    "Got unexpected extra argument(s) ({arguments})",
    "Option {name} does not take a value.",
    "Option {name} requires an argument.",
    "Option {name} requires {number} arguments.",
    "Argument {name} takes {number} values.",
    "{value} is not one of {choices}.",
    "{value} is not a valid {kind}.",
    "Value {value} is not a valid {kind}.",
    "{value} is not in the range {range}.",
    "{value} does not match the formats {formats}.",
    "{kind} {path} does not exist.",
    "{kind} {path} is a file.",
    "{kind} {path} is a directory.",
    "{kind} {path} is not readable.",
    "{kind} {path} is not writable.",
)
"""What Typer says of wrong usage, with names for what it puts in. Longer first."""
_PYDANTIC = (
    ("Input should be a valid integer, unable to parse string as an integer", "must be a whole number"),
    ("Input should be a valid number, unable to parse string as a number", "must be a number"),
    ("Input should be greater than or equal to ", "must be at least "),
    ("Input should be greater than ", "must be more than "),
    ("Input should be less than or equal to ", "must be at most "),
    ("Input should be less than ", "must be less than "),
    ("Input should be ", "must be "),
)
"""What pydantic says below Typer, and how a spec's errors say the same."""
TEXTS = ("help", "short_help", "epilog", "rich_help_panel", "show_default")
"""What of ours a command or a parameter of it may hold."""
_COMMAND = re.compile(r"^\s*(?:(?:techsapo|curl|sudo|crontab|docker|journalctl)\b|[A-Z_]+=)[^。]*$")


def in_help(command: Any) -> Any:
    """`command`, of Typer, with its help, and that of the commands in it, in the language that is spoken."""
    for each in (command, *_below(command)):
        _translate_when_shown(each)
    return command


def usage_words(told: str) -> str:
    """What Typer says of wrong usage, in our words and the language that is spoken."""
    for theirs, ours in _PYDANTIC:
        told = told.replace(theirs, ours)
    if spoken_language() == LANGUAGES[0]:
        return told
    return spoken(_recognised(told))


def title_words() -> None:
    """Let Typer's titles be in the language that is spoken."""
    from typer import rich_utils

    words = words_of(spoken_language())
    for name, title in TITLES.items():
        setattr(rich_utils, name, words(title))
    if spoken_language() != LANGUAGES[0] and not isinstance(rich_utils._make_rich_text, _Folded):
        rich_utils._make_rich_text = _Folded(rich_utils._make_rich_text)


class _Folded:
    """Makes Typer's texts so that a full line is broken anywhere: one without spaces would be cut off."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __call__(self, **given: Any) -> Any:
        text = self._make(**given)
        text.overflow = "fold"
        return text


def paragraphs(text: str) -> Iterator[tuple[str, bool]]:
    """The paragraphs of a help text, and whether each is words, which are translated, or a command."""
    for paragraph in inspect.cleandoc(text).partition("\f")[0].split("\n\n"):
        yield paragraph, not all(_COMMAND.match(line) for line in paragraph.splitlines() if line.strip())


def flat(paragraph: str) -> str:
    """A paragraph on one line, as the catalogue has it."""
    return " ".join(paragraph.split())


def _below(command: Any) -> Iterator[Any]:
    for each in getattr(command, "commands", {}).values():
        yield each
        yield from _below(each)


def _translate_when_shown(command: Any) -> None:
    show, usage = command.format_help, command.get_usage

    def format_help(ctx: Any, formatter: Any) -> None:
        if spoken_language() != LANGUAGES[0]:
            title_words()
            _translate(command, ctx)
        show(ctx, formatter)

    def get_usage(ctx: Any) -> str:
        told: str = usage(ctx)
        words = Message(USAGE, {"usage": told.removeprefix("Usage: ")})
        return spoken(words) if told.startswith("Usage: ") else told

    command.format_help, command.get_usage = format_help, get_usage


def _translate(command: Any, ctx: Any) -> None:
    """Put the words of `command`'s help page in their place; those that are translated already stay."""
    words = words_of(spoken_language())
    for thing in (command, *command.get_params(ctx), *getattr(command, "commands", {}).values()):
        _translate_texts(thing, words)


def _translate_texts(thing: Any, words: Words) -> None:
    for name in TEXTS:
        text = getattr(thing, name, None)
        if isinstance(text, str) and text:
            said = (words(flat(part)) if to_say else part for part, to_say in paragraphs(text))
            setattr(thing, name, "\n\n".join(said))


def _recognised(told: str) -> str:
    """What Typer told as a message of the catalogue, or as it is."""
    for sentence, shape in _shapes():
        if found := shape.fullmatch(told):
            return Message(sentence, {name: _recognised(value) for name, value in found.groupdict().items()})
    return told


@cache
def _shapes() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple(
        (sentence, re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+?)", re.escape(sentence)), re.DOTALL))
        for sentence in (*OURS, *SENTENCES)
    )
