"""`techsapo start`, `stop`, `restart`, `down` and `exec`: what is done to services that run."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from techsapo_ops.apply.executing import execute
from techsapo_ops.apply.history import History
from techsapo_ops.apply.prechecks import require_app_restarts
from techsapo_ops.apply.stop import down as stop_all
from techsapo_ops.apply.stop import reload, running_names, start_services, stop_services
from techsapo_ops.apply.stop import restart as perform
from techsapo_ops.cli.arguments import completes
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import (
    GateOption,
    NamedServicesArgument,
    QuietOutput,
    SpecFile,
    SpecPlace,
    WaitOption,
    YesOption,
)
from techsapo_ops.cli.output import Output, confirm, interactive, require_yes
from techsapo_ops.cli.recorded_stack import recorded_stack
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg

if TYPE_CHECKING:
    from techsapo_ops.stack.stack import Stack


def start(
    services: NamedServicesArgument = None,
    *,
    place: SpecPlace,
    wait: WaitOption = 0.0,
    timeout: GateOption = None,
    out: QuietOutput,
) -> None:
    """Start services that were stopped with `techsapo stop`, with the configuration of the last `up`.

    The exit code is 0 once each service is ready. To start a stack that is down, use `techsapo up`.

    Examples:

      techsapo start grafana

      techsapo start
    """
    stack = open_stack(place.open(), seconds=timeout)
    done = start_services(stack, tuple(services or ()), wait=wait, say=out.say)
    if done.services:
        out.say(msg("started {services}", services=", ".join(done.services)))
    elif not done.later:
        out.say(msg("no service is stopped"))
    if done.later:
        out.say(msg("services not created yet: {later}", later=", ".join(done.later)))
        out.next(f"techsapo up {' '.join(done.later)}")


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
    """Stop single services. They stay stopped, also after `up` and a reboot, until `techsapo start`.

    `ps`, `plan`, `up`, `health` and `status` show who stopped a service. Alerts about stopped services still
    fire; `techsapo alerts silence` stops the notifications. To stop everything, use `techsapo down`.

    Examples:

      techsapo stop grafana

      techsapo stop app-3
    """
    done = stop_services(open_stack(place.open()), services, wait=wait, say=out.say)
    out.say(msg("stopped {services}", services=", ".join(done.services)))
    if done.needing:
        out.say(
            msg(
                "still running, although they depend on a stopped service: {needing}",
                needing=", ".join(done.needing),
            )
        )
    out.next(f"techsapo start {shlex.join(done.services)}")


def restart(
    services: NamedServicesArgument = None,
    everything: Annotated[bool, typer.Option("--all", help="All services of the stack.")] = False,
    again: Annotated[
        bool, typer.Option("--reload", help="Reload the configuration instead, without downtime.")
    ] = False,
    *,
    place: SpecPlace,
    wait: WaitOption = 0.0,
    out: QuietOutput,
) -> None:
    """Restart services one at a time, waiting until each is ready. To restart all of them, use --all.

    Services restart with the configuration of the last `up`; to apply a changed spec, use `techsapo up`.

    While nginx restarts, it accepts no connections; open requests and streams are cut off after 2 s. If only
    nginx's configuration or certificate has changed, use `techsapo restart --reload nginx`, which refuses no
    connection. Prometheus, Alertmanager and nginx can reload: --reload without a name reloads all three. A
    named service that can't reload is restarted.

    Examples:

      techsapo restart app

      techsapo restart --all

      techsapo restart --reload prometheus
    """
    names = tuple(services or ())
    if names and everything:
        raise OpsError(
            msg("both --all and service names are given"),
            msg("leave out either --all or the names"),
            exit_code=2,
        )
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
    results = [
        *([msg("reloaded {services}", services=", ".join(reloaded))] if reloaded else []),
        *([msg("restarted {services}", services=", ".join(restarted))] if restarted else []),
    ]
    out.say(joined("; ", results) or msg("no service of this stack can reload its configuration"))


def _ask(stack: Stack) -> None:
    """Ask whether all services are meant, the databases too. Raises OpsError where nobody can be asked."""
    meant = running_names(stack.engine, ())
    if not interactive():
        raise OpsError(
            msg("no service is named, and all would be restarted: {services}", services=", ".join(meant)),
            msg("name the services to restart, e.g. `techsapo restart app`, or pass --all"),
            exit_code=2,
        )
    if not confirm(msg("restart all services: {services}?", services=", ".join(meant)), yes=False):
        raise OpsError(msg("nothing was restarted"), msg("name the services to restart, or pass --all"))


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
    """Stop the stack: each service after the services that need it, then the supervisor or the networks.

    Works with a broken spec and after crashes; no part of the stack is left running.

    Examples:

      techsapo down

      techsapo down --volumes --yes
    """
    stack = recorded_stack(place.stack_file())
    if volumes:
        require_yes(msg("delete all data {data_place}?", data_place=stack.data_place), yes=yes)
    stopped = stop_all(stack, wait=wait, remove_data=volumes, warn=out.warn)
    if stopped:
        out.say(msg("stopped {stopped}", stopped=", ".join(stopped)))
    else:
        out.say(msg("nothing to stop"))
    if volumes:
        out.say(msg("data deleted"))


def run(
    service: Annotated[
        str,
        typer.Argument(
            metavar="SERVICE", help="A service, by name or kind.", autocompletion=completes("services")
        ),
    ],
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CMD]…", help="A program and its arguments; default: the service's own client."
        ),
    ] = None,
    *,
    place: SpecPlace,
) -> None:
    """Run a program where a service runs: by default the service's own client, logged in.

    The default client is redis-cli for redis, mariadb as root for mysql, and sh as the service's user for the
    others. Options of techsapo come before SERVICE. No password appears on a command line. The record of
    administration shows who ran which program, without its arguments. The exit code is that of the program.

    Examples:

      techsapo exec redis

      techsapo exec redis redis-cli INFO memory

      techsapo exec mysql mariadb -e "SHOW PROCESSLIST"

      techsapo exec app sh
    """
    stack = open_stack(place.open())
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    words = tuple(command or ())
    words = words[1:] if words[:1] == ("--",) else words  # as kubectl wants it
    code = execute(stack, service, words, terminal=terminal, warn=Output().warn)
    raise typer.Exit(code)
