"""`techsapo exec`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from techsapo_ops.apply.executing import execute
from techsapo_ops.cli.completes import completes
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import SpecPlace
from techsapo_ops.cli.output import Output


def run(
    service: Annotated[
        str, typer.Argument(metavar="SERVICE", help="A name or a kind.", autocompletion=completes("services"))
    ],
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CMD]…", help="A program and its arguments; default: the service's client."),
    ] = None,
    *,
    place: SpecPlace,
) -> None:
    """Run a program where a service runs: its own client with the right login, or any other.

    redis: redis-cli. mysql: mariadb as root. Others: sh, as the user of the service. Options of techsapo come
    before SERVICE.
    No password stands in a command line. Who ran which program is in the record of administration; what its
    arguments were is not. Ends with the program's own exit code.

    Examples:

      techsapo exec redis

      techsapo exec redis redis-cli INFO memory

      techsapo exec mysql mariadb -e "SHOW PROCESSLIST"

      techsapo exec app sh
    """
    stack = open_stack(place.open())
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    words = tuple(command or ())
    words = words[1:] if words[:1] == ("--",) else words  # as kubectl wants it
    code = execute(stack, service, words, terminal=terminal, warn=Output().warn)
    raise typer.Exit(code)
