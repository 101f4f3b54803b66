"""Options that come together, as Typer and as a command see them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rows import each_row
from typer.testing import CliRunner

from techsapo_ops.cli.bundles import CommandGroup
from techsapo_ops.cli.main import app
from techsapo_ops.cli.options import FullOutput, SpecPlace

COMMON = ("--file", "--environment", "--json", "--quiet", "--verbose")


def run(command: Any, *words: str) -> str:
    group = CommandGroup()
    group.command()(command)
    done = CliRunner().invoke(group, list(words))
    assert done.exit_code == 0, done.output
    return done.output


def look(
    name: Annotated[str, typer.Argument()],
    *,
    place: SpecPlace,
    often: Annotated[int, typer.Option("--often")] = 1,
    out: FullOutput,
) -> None:
    """Look."""
    print(name, place.file, place.environment, often, out.as_json, out.quiet, out.verbose)


def test_a_command_is_given_what_its_options_make() -> None:
    assert run(look, "x") == "x techsapo.yaml None 1 False False False\n"
    words = ("x", "-F", "other.yaml", "-e", "staging", "--often", "3", "--json", "-q", "-v")
    assert run(look, *words) == "x other.yaml staging 3 True True True\n"


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
