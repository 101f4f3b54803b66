"""The commands as a page and as man pages: exit codes, variables, and what the help of each says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from techsapo_ops import __version__
from techsapo_ops.cli.lazy import LazyCommand
from techsapo_ops.cli.main import COMMANDS
from techsapo_ops.cli.reference.tables import code, facts, head, page_text, said, table, words
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


def write_man_pages(folder: Path) -> None:
    """Write them into `folder`; one of a command that is gone is removed. Raises OSError."""
    pages = man_pages()
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("techsapo*.1"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")


def man_pages() -> dict[str, str]:
    """Each page by the name of its file."""
    groups: dict[str, list[CommandHelp]] = {}
    for command in commands():
        groups.setdefault(command.name.split()[1], []).append(command)
    pages = {"techsapo.1": _overview(groups)}
    for name, members in groups.items():
        pages[f"techsapo-{name}.1"] = _man(f"techsapo-{name}", members)
    return pages


def _overview(groups: dict[str, list[CommandHelp]]) -> str:
    lines = [
        *_title("techsapo", "runs TechSapo from one YAML spec"),
        ".SH SYNOPSIS",
        ".B techsapo",
        "COMMAND [OPTIONS]",
        ".SH COMMANDS",
    ]
    for name, members in groups.items():
        lines += [".TP", f".BR techsapo\\-{_roff(name)} (1)", _roff(members[0].short)]
    return "\n".join([*lines, *_common()]) + "\n"


def _man(name: str, members: list[CommandHelp]) -> str:
    lines = [*_title(name, members[0].short.rstrip(".")), ".SH SYNOPSIS"]
    for command in members:
        lines += [".nf", _roff(command.usage), ".fi"]
    for command in members:
        heading = command.name.upper() if command is not members[0] else "DESCRIPTION"
        lines += [f'.SH "{_roff(heading)}"', *_paragraphs(command.help)]
        for option, text in command.options:
            lines += [".TP", f".B {_roff(option)}", _roff(text)]
    return "\n".join([*lines, *_common(*(command.name for command in members))]) + "\n"


def _title(name: str, short: str) -> list[str]:
    return [
        f'.TH "{_roff(name.upper())}" 1 "" "techsapo {__version__}"',
        ".SH NAME",
        f"{_roff(name)} \\- {_roff(short)}",
    ]


def _common(*names: str) -> list[str]:
    """What each page ends with; `names` are the commands that it is about."""
    codes = facts("exit_codes.yaml")
    shown = dict(codes["every"])
    for name in names:
        shown |= codes["of"].get(name.removeprefix("techsapo "), {})
    lines = [".SH EXIT STATUS"]
    for number, text in shown.items():
        lines += [".TP", f".B {number}", _roff(text["en"])]
    lines.append(".SH ENVIRONMENT")
    for variable, text in facts("environment.yaml").items():
        lines += [".TP", f".B {variable}", _roff(text["en"])]
    see = "The pages of the app under /help, and docs/ of the source."
    return [*lines, ".SH SEE ALSO", *([".BR techsapo (1)", ".br"] if names else []), see]


def _paragraphs(text: str) -> list[str]:
    lines: list[str] = []
    for line in text.splitlines():
        if not line.strip():
            lines.append(".PP")
        elif line.startswith("  "):
            lines += [".RS", ".nf", _roff(line.strip()), ".fi", ".RE"]
        else:
            lines.append(_roff(line))
    return lines


def _roff(text: str) -> str:
    """Text that troff shows as it is."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
