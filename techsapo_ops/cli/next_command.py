"""The command of a "next:" line, complete: it can be pasted as it is, and is about the same stack."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

_PLACE = "techsapo_ops.place"
_QUOTED = re.compile(r"`([^`]+)`")
_PROSE = re.compile(r"[`;,]|\b[A-Z]{2,}\b")
"""What no command of a hint has: more words about it, or a word for the reader to fill in."""


class Place(Protocol):
    """What the running command is about."""

    def chosen(self) -> dict[str, str]:
        """The options that another command needs to be about the same, and their values."""
        ...


def remember_place(place: Place) -> None:
    """Let what this command says next be about the stack of `place`."""
    context = _context()
    if context is not None:
        context.meta[_PLACE] = place


def completed(command: str) -> str:
    """`command` with the --file and --environment of this one, as far as it takes them and needs them."""
    context = _context()
    place: Place | None = context.meta.get(_PLACE) if context is not None else None
    if context is None or place is None:
        return command
    chosen = place.chosen()
    if not chosen:
        return command
    words = shlex.split(command)
    if words[:1] == ["sudo"]:
        words = words[1:]
    if words[:1] != ["techsapo"]:
        return command
    takes = set(_options(context.find_root(), words[1:]))
    more = [
        word
        for option, value in chosen.items()
        if option in takes and option not in words
        for word in (option, value)
    ]
    return f"{command} {shlex.join(more)}" if more else command


def command_in(text: str) -> str:
    """The first command in `text` that can be pasted: all of it, or what stands in backticks; else nothing.

    A word in capitals is for the reader to fill in.
    """
    quoted = (str(found[1]) for found in _QUOTED.finditer(text))
    beginnings = ("techsapo ", "sudo ", "systemctl ")
    return next((c for c in (text, *quoted) if c.startswith(beginnings) and not _PROSE.search(c)), "")


def without(option: str) -> str:
    """This very command without `option`."""
    return shlex.join(["techsapo", *(word for word in sys.argv[1:] if word != option)])


def _options(root: Any, words: Sequence[str]) -> Iterator[str]:
    """The options of the command that `words` call."""
    command, context = root.command, root
    for word in words:
        if not hasattr(command, "get_command"):
            break
        inner = command.get_command(context, word)
        if inner is None:
            break
        command = inner.resolve() if hasattr(inner, "resolve") else inner  # the table holds stubs
        context = type(context)(command, info_name=word, parent=context)
    for parameter in command.params:
        yield from parameter.opts


def _context() -> Any:
    from techsapo_ops.cli.typer_base import get_current_context

    return get_current_context(silent=True)
