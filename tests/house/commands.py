"""Whether the command line takes a line as it stands in a page. Nothing is run."""

from __future__ import annotations

import re
import shlex
from functools import cache
from typing import Any

from techsapo_ops.cli.lazy import LazyCommand
from techsapo_ops.cli.main import COMMANDS
from techsapo_ops.cli.typer_base import UsageError


@cache
def _command(name: str) -> Any:
    return LazyCommand(name, COMMANDS[name]).resolve()


def wrong(line: str) -> str:
    """Why the command line does not take `line`; empty where it does."""
    words = shlex.split(line.removeprefix("sudo "), comments=True)[1:]
    for end, word in enumerate(words):
        if re.fullmatch(r"[<>&;]|\|\|?|&&|2?>.*|<.*", word):
            words = words[:end]
            break
    if not words or words[0].startswith("-"):
        return ""
    if words[0] not in COMMANDS:
        return f"there is no command {words[0]}"
    command, rest, name = _command(words[0]), words[1:], words[0]
    try:
        while rest and rest[0] in getattr(command, "commands", {}):
            command, name, rest = command.commands[rest[0]], f"{name} {rest[0]}", rest[1:]
        if getattr(command, "commands", None) and (not rest or not rest[0].startswith("-")):
            return f"there is no command {name} {rest[0]}" if rest else ""
        parser = command.make_parser(
            command.context_class(command, info_name=name, **command.context_settings)
        )
        _, left, _ = parser.parse_args([word for word in rest if word not in {"--help", "-h"}])
    except UsageError as error:
        why = error.format_message()
        return "" if "requires an argument" in why else why  # an option that is only named
    return f"too many words: {left}" if left else ""
