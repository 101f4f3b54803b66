"""`techsapo hosts switchover`: another machine's server takes over, on purpose."""

from __future__ import annotations

from typing import Annotated

import typer

from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import JsonOutput, SpecPlace
from techsapo_ops.messages import msg
from techsapo_ops.operations.apply.stop import locked
from techsapo_ops.operations.switchover import switchover as take_over


def switchover(
    service: Annotated[str, typer.Argument(help="Whose server is to be another one.")],
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="HOST", help="The host that takes over.", show_default="one in sync"),
    ] = None,
    *,
    place: SpecPlace,
    out: JsonOutput,
) -> None:
    """Make another host's Redis the master, without losing a write.

    Writes wait for a second or two, until the replica has all of them. Where none is in sync, nothing is
    changed. Of use before a host is worked on.

    Examples:

      techsapo hosts switchover redis

      techsapo hosts switchover redis --to b
    """
    stack = open_stack(place.open())
    with locked(stack.layout, 0.0, out.warn):
        found = take_over(stack, service, to, out.warn)
    if out.as_json:
        out.json(
            {"before": found.before, "now": found.now, "seconds": found.seconds, "lost_bytes": found.lost}
        )
        return
    out.say(
        msg(
            "{now} has taken over from {before} in {seconds:.1f} s",
            now=found.now,
            before=found.before,
            seconds=found.seconds,
        )
    )
    out.say(
        msg("no write was lost")
        if not found.lost
        else msg("{count:,} bytes of writes were lost", count=found.lost)
    )
