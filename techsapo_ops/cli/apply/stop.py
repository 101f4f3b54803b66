"""`techsapo stop`."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from techsapo_ops.apply.stopping import stop_services
from techsapo_ops.cli.completes import completes
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import QuietOutput, SpecPlace, WaitOption
from techsapo_ops.messages import msg


def stop(
    services: Annotated[
        list[str],
        typer.Argument(metavar="SERVICE…", help="Names or kinds.", autocompletion=completes("services")),
    ],
    *,
    place: SpecPlace,
    wait: WaitOption = 0.0,
    out: QuietOutput,
) -> None:
    """Stop single services. They stay stopped, over `up` and a reboot too, until `techsapo start`.

    `ps`, `plan`, `up`, `health` and `status` say who stopped them. Their alerts fire: `techsapo alerts
    silence` keeps them quiet. `techsapo down` stops everything.

    Examples:

      techsapo stop grafana

      techsapo stop app-3
    """
    done = stop_services(open_stack(place.open()), services, wait=wait, say=out.say)
    out.say(msg("stopped {services}", services=", ".join(done.services)))
    if done.needing:
        out.say(msg("running without it: {needing}", needing=", ".join(done.needing)))
    out.next(f"techsapo start {shlex.join(done.services)}")
