"""`techsapo restart`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from techsapo_ops.apply.app_start import require_app_restarts
from techsapo_ops.apply.history import History
from techsapo_ops.apply.stop import reload, running_names
from techsapo_ops.apply.stop import restart as perform
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import NamedServicesArgument, QuietOutput, SpecPlace, WaitOption
from techsapo_ops.cli.output import confirm, interactive
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg

if TYPE_CHECKING:
    from techsapo_ops.cli.output import Output
    from techsapo_ops.stack.stack import Stack


def restart(
    services: NamedServicesArgument = None,
    everything: Annotated[bool, typer.Option("--all", help="All services of the stack.")] = False,
    again: Annotated[
        bool, typer.Option("--reload", help="Read the configuration again instead, without a gap.")
    ] = False,
    *,
    place: SpecPlace,
    wait: WaitOption = 0.0,
    out: QuietOutput,
) -> None:
    """Restart services one at a time, each until it is ready. Without a name it asks, or needs --all.

    They start with the configuration that `up` gave them last; `techsapo up` applies a changed spec.

    nginx itself takes no connection until it is back: open requests and streams have 2 s to end, then they
    are cut off. Where only its configuration or certificate changed, `techsapo restart --reload nginx`
    refuses nobody. Prometheus, Alertmanager and nginx can reload, and all of them do where none is named;
    one that is named and can't is restarted.

    Examples:

      techsapo restart app

      techsapo restart --all

      techsapo restart --reload prometheus
    """
    names = tuple(services or ())
    if names and everything:
        raise OpsError(msg("--all is given, and names too"), msg("leave one of them out"), exit_code=2)
    stack = open_stack(place.open())
    if again:
        return _reload(stack, names, out, wait=wait)
    if not names and not everything:
        _ask(stack)
    require_app_restarts(History.of(stack), names)
    done = perform(stack.engine, names, wait=wait, say=out.say, pause=stack.pause)
    return out.say(msg("restarted {services}", services=", ".join(done)))


def _reload(stack: Stack, names: tuple[str, ...], out: Output, *, wait: float) -> None:
    """Reload those named, or all that can. Those that can't are restarted."""
    can = {service.name for service in stack.topology.services if service.facts.reload}
    done = reload(stack.engine, names or tuple(sorted(can)), wait=wait) if names or can else ()
    reloaded = [name for name in done if name in can]
    restarted = [name for name in done if name not in can]
    said = [
        *([msg("reloaded {services}", services=", ".join(reloaded))] if reloaded else []),
        *([msg("restarted {services}", services=", ".join(restarted))] if restarted else []),
    ]
    out.say(joined("; ", said) or msg("no service here can reload"))


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
