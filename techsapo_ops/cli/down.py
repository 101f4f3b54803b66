"""`techsapo down`."""

from __future__ import annotations

from typing import Annotated

import typer

from techsapo_ops.cli.options import DEFAULT_SPEC, FileOption, JsonOption, QuietOption, WaitOption, YesOption
from techsapo_ops.cli.output import Output, confirm


def down(
    file: FileOption = DEFAULT_SPEC,
    volumes: Annotated[
        bool, typer.Option("--volumes", help="Also delete the data: databases, metrics, made-up passwords.")
    ] = False,
    yes: YesOption = False,
    wait: WaitOption = 0.0,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Stop the stack: every service after those that need it, then the supervisor or the networks.

    Works with a broken spec and after crashes; nothing of the stack is left running.

    Examples:

      techsapo down

      techsapo down --volumes --yes
    """
    from techsapo_ops.cli.wiring import standing_stack
    from techsapo_ops.operations.apply.stop import down as stop

    out = Output(as_json=as_json, quiet=quiet)
    stack = standing_stack(file)
    data = f"below {stack.layout.data}" if stack.name == "native" else "in the stack's Docker volumes"
    if volumes and not confirm(f"delete all data {data}?", yes=yes):
        out.say("nothing was changed; --yes confirms the deletion")
        raise typer.Exit(1)
    stopped = stop(stack, stack.layout, wait=wait, remove_data=volumes)
    if as_json:
        out.json({"stopped": list(stopped), "data_removed": volumes})
        return
    if stopped:
        out.say(f"stopped {', '.join(stopped)}")
    else:
        out.say("nothing to stop")
    if volumes:
        out.say("data deleted")
