"""`techsapo restart`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from techsapo_ops.cli.completes import completes
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import JsonQuietOutput, SpecPlace, WaitOption
from techsapo_ops.cli.output import confirm, interactive
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.apply.app_start import require_app_restarts
from techsapo_ops.operations.apply.history import History
from techsapo_ops.operations.apply.stop import restart as perform
from techsapo_ops.operations.apply.stop import running_names

if TYPE_CHECKING:
    from techsapo_ops.stack.stack import Stack


def restart(
    services: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SERVICE]…", help="Names or kinds.", autocompletion=completes("services")),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All services of the stack.")] = False,
    *,
    place: SpecPlace,
    wait: WaitOption = 0.0,
    out: JsonQuietOutput,
) -> None:
    """Restart services one at a time, each until it is ready. Without a name it asks, or needs --all.

    They start with the configuration that `up` gave them last; `techsapo up` applies a changed spec.

    nginx itself takes no connection until it is back: open requests and streams have 2 s to end, then they
    are cut off. Where only its configuration or certificate changed, `techsapo reload nginx` refuses nobody.

    Examples:

      techsapo restart app

      techsapo restart --all
    """
    names = tuple(services or ())
    if names and everything:
        raise OpsError(msg("--all is given, and names too"), msg("leave one of them out"), exit_code=2)
    stack = open_stack(place.open())
    if not names and not everything:
        _ask(stack)
    require_app_restarts(History.of(stack), names)
    done = perform(stack.engine, names, wait=wait, say=out.say, pause=stack.pause)
    if out.as_json:
        out.json({"restarted": list(done)})
    else:
        out.say(msg("restarted {services}", services=", ".join(done)))


def _ask(stack: Stack) -> None:
    """Ask whether all services are meant, the databases too. Raises OpsError where nobody can be asked."""
    meant = running_names(stack.engine, ())
    if not interactive():
        raise OpsError(
            msg("no service is named: {services}", services=", ".join(meant)),
            msg("name those to restart, e.g. `techsapo restart app`, or all of them by --all"),
            exit_code=2,
        )
    if not confirm(msg("restart all of them: {services}?", services=", ".join(meant)), yes=False):
        raise OpsError(msg("nothing was restarted"), msg("name those to restart, or pass --all"))
