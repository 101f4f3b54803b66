"""What the command line says of kinds of data that are backed up: help, completion and `--only`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

from techsapo_ops.backup.kinds import registry

Command = TypeVar("Command", bound=Callable[..., object])


def parse(only: str | None) -> tuple[str, ...]:
    """The kinds that `--only` names."""
    return tuple(word.strip() for word in only.split(",") if word.strip()) if only is not None else ()


def _option(help_: str) -> object:
    return typer.Option("--only", metavar="KIND,…", help=help_)


_HERE = ", ".join(kind.name for kind in registry.kinds() if not kind.too_secret)
BackedUpOption = Annotated[str | None, _option(f"Some sources: {_HERE}.")]
RestoredOption = Annotated[str | None, _option(f"{', '.join(registry.names())}.")]


def telling_kinds(command: Command) -> Command:
    """Put into the help of `command` the titles of the kinds that are restored only by name."""
    titles = [kind.title for kind in registry.kinds() if kind.by_name_only]
    listed = " and ".join(filter(None, (", ".join(titles[:-1]), titles[-1])))
    by_name = f"{listed[0].upper()}{listed[1:]}"
    command.__doc__ = (command.__doc__ or "").replace("{kinds by name}", by_name)
    return command
