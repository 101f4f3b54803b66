"""Options that come together, as Typer and as a command see them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer
from rows import each_row

from techsapo_ops.cli.main import app

COMMON = ("--file", "--environment", "--json", "--quiet", "--verbose")


def _options(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str, Any]]:
    real = command.resolve() if hasattr(command, "resolve") else command
    for parameter in real.params:
        for option in parameter.opts:
            if option in COMMON:
                yield " ".join(path), option, parameter
    for name, below in getattr(real, "commands", {}).items():
        yield from _options(below, (*path, name))


@each_row("option", COMMON)
def test_a_common_option_is_the_same_in_every_command(option: str) -> None:
    found = [each for each in _options(typer.main.get_command(app)) if each[1] == option]
    assert len(found) > 3
    kinds = {(tuple(p.opts), p.help, str(p.default)) for _, _, p in found}
    assert len(kinds) == 1, kinds
