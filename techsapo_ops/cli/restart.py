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
    from techsapo_ops.cli.wiring import engine_for, open_project, topology_for
    from techsapo_ops.operations.apply.stop import restart as perform

    out = Output(quiet=quiet)
    project = open_project(file, environment)
    engine = engine_for(project, topology_for(project))
    names = perform(engine, project.layout, tuple(services or ()), wait=wait, say=out.say)
    out.say(f"restarted {', '.join(names)}")
