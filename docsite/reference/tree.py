"""Every command of the command line, with what its help says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from techsapo_ops.cli.lazy import LazyCommand
from techsapo_ops.cli.main import COMMANDS

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
def commands() -> tuple[Told, ...]:
    """All of them, groups before what is in them, in the order of `techsapo --help`."""
    return tuple(
        told
        for name, entry in COMMANDS.items()
        for told in _below(name, LazyCommand(name, entry).resolve(), entry)
    )


def _below(name: str, command: Any, entry: Any) -> Iterator[Told]:
    yield _told(f"techsapo {name}", command, entry)
    for below, each in getattr(command, "commands", {}).items():
        if not each.hidden:
            yield from _below(f"{name} {below}", each, entry)


def _told(name: str, command: Any, entry: Any) -> Told:
    context = command.context_class(command, info_name=name)
    records = (
        p.get_help_record(context) for p in command.get_params(context) if not getattr(p, "hidden", False)
    )
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    text = _MARKUP.sub("", command.help or entry.help).strip()
    return Told(
        name,
        text.split("\n\n")[0].replace("\n", " "),
        usage,
        text,
        tuple((r[0], _MARKUP.sub("", r[1])) for r in records if r),
        entry.panel,
    )
