"""`techsapo reload`."""

from __future__ import annotations

from typing import Annotated

import typer

from techsapo_ops.cli.completes import completes
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import QuietOutput, SpecPlace, WaitOption
from techsapo_ops.messages import joined, msg
from techsapo_ops.operations.apply.stop import reload as perform


def reload(
    services: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SERVICE]…",
            help="Names or kinds; default: all that can reload.",
            autocompletion=completes("services"),
        ),
    ] = None,
    *,
    place: SpecPlace,
    wait: WaitOption = 0.0,
    out: QuietOutput,
) -> None:
    """Make services read their configuration files again, without a gap.

    Prometheus, Alertmanager and nginx can; one that is named and can't is restarted.

    Examples:

      techsapo reload prometheus

      techsapo reload
    """
    stack = open_stack(place.open())
    topology = stack.topology
    words = tuple(services or ()) or tuple(s.name for s in topology.services if s.facts.reload)
    names = perform(stack.engine, words, wait=wait)
    can = {s.name for s in topology.services if s.facts.reload}
    reloaded = [name for name in names if name in can]
    restarted = [name for name in names if name not in can]
    done = [
        *([msg("reloaded {services}", services=", ".join(reloaded))] if reloaded else []),
        *([msg("restarted {services}", services=", ".join(restarted))] if restarted else []),
    ]
    out.say(joined("; ", done) or msg("no service here can reload"))
