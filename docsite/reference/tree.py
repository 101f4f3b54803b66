"""Every command of the command line, with what its help says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from docsite.reference.parts import said
from techsapo_ops.cli.lazy import LazyCommand
from techsapo_ops.cli.main import COMMANDS
from techsapo_ops.cli.typer_base import paragraphs

_DEFAULT = re.compile(r"\[default: (.+?)\]$")
_MARKUP = re.compile(r"\[/?(?:bold|dim|italic|[a-z]*red|green|yellow|cyan)[^\]]*\]")


@dataclass(frozen=True, slots=True)
class Told:
    """A command: its words, one line, its usage, all of its help, and its options as they are written."""

    name: str
    short: str
    usage: str
    help: str
    options: tuple[tuple[str, str], ...]
    panel: str


@cache
def commands(language: str = "en") -> tuple[Told, ...]:
    """All of them in `language`, groups before what is in them, in the order of `techsapo --help`."""
    return tuple(
        told
        for name, entry in COMMANDS.items()
        for told in _below(name, LazyCommand(name, entry).resolve(), entry, language)
    )


def _below(name: str, command: Any, entry: Any, language: str) -> Iterator[Told]:
    yield _told(f"techsapo {name}", command, entry, language)
    for below, each in getattr(command, "commands", {}).items():
        if not each.hidden:
            yield from _below(f"{name} {below}", each, entry, language)


def _told(name: str, command: Any, entry: Any, language: str) -> Told:
    context = command.context_class(command, info_name=name)
    shown = [p for p in command.get_params(context) if not getattr(p, "hidden", False)]
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    text = _MARKUP.sub("", _help(command.help or entry.help, language)).strip()
    return Told(
        name,
        text.split("\n\n")[0].replace("\n", " "),
        usage,
        text,
        tuple(_option(p, context, language) for p in shown if p.get_help_record(context)),
        entry.panel,
    )


def _help(text: str, language: str) -> str:
    """Help with its words in `language`; what is to be typed stays."""
    found = (said(part, language) if words else part for part, words in paragraphs(text))
    return text if language == "en" else "\n\n".join(found)


def _option(parameter: Any, context: Any, language: str) -> tuple[str, str]:
    """How an option is written, and what it means with its default."""
    written, text = parameter.get_help_record(context)
    if language != "en":
        text = _DEFAULT.sub(
            lambda m: said("[default: {}]", language).replace("{}", said(m[1], language)), text
        )
        text = text.replace(parameter.help or "", said(parameter.help or "", language), 1)
    return written, _MARKUP.sub("", text)
