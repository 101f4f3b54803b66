"""`techsapo restart`."""

from __future__ import annotations

from typing import Annotated

import typer

from techsapo_ops.cli.options import DEFAULT_SPEC, EnvironmentOption, FileOption, QuietOption, WaitOption
from techsapo_ops.cli.output import Output


def restart(
    services: Annotated[
        list[str] | None, typer.Argument(metavar="[SERVICE]…", help="Names or kinds; default: all.")
    ] = None,
    file: FileOption = DEFAULT_SPEC,
    environment: EnvironmentOption = None,
    wait: WaitOption = 0.0,
    quiet: QuietOption = False,
) -> None:
    """Restart services one at a time, each until it is ready.

    They start with the configuration that `up` gave them last; `techsapo up` applies a changed spec.

    Examples:

      techsapo restart app

      techsapo restart
    """
    from techsapo_ops.cli.wiring import open_project, open_stack
    from techsapo_ops.operations.apply.stop import restart as perform

    out = Output(quiet=quiet)
    stack = open_stack(open_project(file, environment))
    names = perform(stack.engine, tuple(services or ()), wait=wait, say=out.say, pause=stack.pause)
    out.say(f"restarted {', '.join(names)}")
