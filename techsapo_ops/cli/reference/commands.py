"""The page of the commands: exit codes, environment variables, then each command with what its help says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from techsapo_ops.cli.lazy import LazyCommand
from techsapo_ops.cli.main import COMMANDS
from techsapo_ops.cli.reference.parts import code, facts, head, page_text, said, table, words
from techsapo_ops.cli.typer_base import paragraphs

PAGE = "commands"
_DEFAULT = re.compile(r"\[default: (.+?)\]$")
_MARKUP = re.compile(r"\[/?(?:bold|dim|italic|[a-z]*red|green|yellow|cyan)[^\]]*\]")


@dataclass(frozen=True, slots=True)
class CommandHelp:
    """A command: its words, one line, its usage, all of its help, and its options as they are written."""

    name: str
    short: str
    usage: str
    help: str
    options: tuple[tuple[str, str], ...]


@cache
def commands(language: str = "en") -> tuple[CommandHelp, ...]:
    """All of them in `language`, groups before what is in them, in the order of `techsapo --help --all`."""
    return tuple(
        each
        for name, entry in COMMANDS.items()
        for each in _with_members(
            f"techsapo {name}", LazyCommand(name, entry).resolve(), entry.help, language
        )
    )


def _with_members(name: str, command: Any, short: str, language: str) -> Iterator[CommandHelp]:
    yield _help_of(name, command, short, language)
    for member, each in getattr(command, "commands", {}).items():
        if not each.hidden:
            yield from _with_members(f"{name} {member}", each, short, language)


def _help_of(name: str, command: Any, short: str, language: str) -> CommandHelp:
    context = command.context_class(command, info_name=name)
    shown = [p for p in command.get_params(context) if not getattr(p, "hidden", False)]
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    text = _MARKUP.sub("", _translated(command.help or short, language)).strip()
    options = tuple(_option(p, context, language) for p in shown if p.get_help_record(context))
    return CommandHelp(name, text.split("\n\n")[0].replace("\n", " "), usage, text, options)


def _translated(text: str, language: str) -> str:
    """Help with its words in `language`; what is to be typed stays."""
    if language == "en":
        return text
    return "\n\n".join(said(part, language) if to_say else part for part, to_say in paragraphs(text))


def _option(parameter: Any, context: Any, language: str) -> tuple[str, str]:
    """How an option is written, and what it means with its default."""
    written, text = parameter.get_help_record(context)
    if language != "en":
        text = _DEFAULT.sub(
            lambda m: said("[default: {}]", language).replace("{}", said(m[1], language)), text
        )
        text = text.replace(parameter.help or "", said(parameter.help or "", language), 1)
    return written, _MARKUP.sub("", text)


def commands_page(language: str) -> str:
    """The page in `language`."""
    lines = head(PAGE, language)
    for key, columns, rows in (
        ("exits", "exit_columns", facts("exit_codes.yaml")["every"]),
        ("environment", "environment_columns", facts("environment.yaml")),
    ):
        lines += [f"## {words(PAGE, key, language)}", ""]
        lines += _facts(columns, rows, language)
    for command in commands(language):
        level = "##" if command.name.count(" ") == 1 else "###"
        lines += [f"{level} {command.name}", "", *_markdown(command.help)]
        lines += ["```text", command.usage, "```", ""]
        if exits := facts("exit_codes.yaml")["of"].get(command.name.removeprefix("techsapo "), {}):
            lines += _facts("exit_columns", exits, language)
        if command.options:
            rows = [[code(option), text] for option, text in command.options]
            lines += table(words(PAGE, "columns", language), rows)
    return page_text(lines)


def _facts(columns: str, rows: dict[str, dict[str, str]], language: str) -> list[str]:
    return table(
        words(PAGE, columns, language), ([code(name), text[language]] for name, text in rows.items())
    )


def _markdown(text: str) -> list[str]:
    """The help as Markdown: an example, which is indented, is code."""
    lines: list[str] = []
    block = False
    for line in text.splitlines():
        if line.startswith("  ") and not block:
            lines += ["", "```sh"] if lines and lines[-1] else ["```sh"]
            block = True
        elif block and line and not line.startswith("  "):
            while not lines[-1]:
                lines.pop()
            lines += ["```", ""]
            block = False
        if not block or line:
            lines.append(line[2:] if block else line.replace("<", "\\<"))
    return [*lines, *(["```"] if block else []), ""]
