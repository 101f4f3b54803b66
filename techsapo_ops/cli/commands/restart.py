"""`techsapo restart`."""

from __future__ import annotations

from typing import Annotated

import typer

from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import QuietOutput, SpecPlace, WaitOption
from techsapo_ops.operations.apply.stop import restart as perform


def restart(
    services: Annotated[
        list[str] | None, typer.Argument(metavar="[SERVICE]…", help="Names or kinds; default: all.")
    ] = None,
    *,
    place: SpecPlace,
    wait: WaitOption = 0.0,
    out: QuietOutput,
) -> None:
    """Restart services one at a time, each until it is ready.

    They start with the configuration that `up` gave them last; `techsapo up` applies a changed spec.

    Examples:

      techsapo restart app

      techsapo restart
    """
    stack = open_stack(place.open())
    names = perform(stack.engine, tuple(services or ()), wait=wait, say=out.say, pause=stack.pause)
    out.say(f"restarted {', '.join(names)}")
