"""`techsapo down`."""

from __future__ import annotations

from typing import Annotated

import typer

from techsapo_ops.apply.stop import down as stop
from techsapo_ops.cli.options import (
    QuietOutput,
    SpecFile,
    WaitOption,
    YesOption,
)
from techsapo_ops.cli.output import require_yes
from techsapo_ops.cli.recorded_stack import recorded_stack
from techsapo_ops.messages import msg


def down(
    *,
    place: SpecFile,
    volumes: Annotated[
        bool, typer.Option("--volumes", help="Also delete the data: databases, metrics, generated passwords.")
    ] = False,
    yes: YesOption = False,
    wait: WaitOption = 0.0,
    out: QuietOutput,
) -> None:
    """Stop the stack: every service after those that need it, then the supervisor or the networks.

    Works with a broken spec and after crashes; nothing of the stack is left running.

    Examples:

      techsapo down

      techsapo down --volumes --yes
    """
    stack = recorded_stack(place.stack_file())
    if volumes:
        require_yes(msg("delete all data {data_place}?", data_place=stack.data_place), yes=yes)
    stopped = stop(stack, wait=wait, remove_data=volumes, warn=out.warn)
    if stopped:
        out.say(msg("stopped {stopped}", stopped=", ".join(stopped)))
    else:
        out.say(msg("nothing to stop"))
    if volumes:
        out.say(msg("data deleted"))
