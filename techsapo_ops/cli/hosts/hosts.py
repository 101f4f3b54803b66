"""`techsapo hosts`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from techsapo_ops.apply.administration import recorded
from techsapo_ops.apply.up import up
from techsapo_ops.cli.apply.plan_view import Progress, show_failures
from techsapo_ops.cli.arguments import completes
from techsapo_ops.cli.environment import runner
from techsapo_ops.cli.open_stack import open_stack, topology_for
from techsapo_ops.cli.options import (
    GateOption,
    JsonOutput,
    QuietOutput,
    SpecChoice,
    SpecPlace,
    WaitOption,
    YesOption,
)
from techsapo_ops.cli.output import require_yes
from techsapo_ops.cli.typer_base import CommandGroup
from techsapo_ops.engines.at_work import at_work
from techsapo_ops.engines.swarm import folders
from techsapo_ops.engines.swarm.engine import on_one_host, swarm_of
from techsapo_ops.engines.swarm.machines_note import fleet_of
from techsapo_ops.errors import OpsError
from techsapo_ops.hosts.check import check as check_hosts
from techsapo_ops.hosts.drain import activate as perform_activate
from techsapo_ops.hosts.drain import drain as perform_drain
from techsapo_ops.hosts.drain import switchover as take_over
from techsapo_ops.hosts.join import add as join
from techsapo_ops.hosts.join import beside_others
from techsapo_ops.hosts.leave import leaving
from techsapo_ops.hosts.leave import remove as leave
from techsapo_ops.hosts.leave import replace as perform_replace
from techsapo_ops.messages import msg
from techsapo_ops.spec.problems import unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from techsapo_ops.adapters.fleet import Fleet
    from techsapo_ops.stack.topology import Topology

app = CommandGroup()

HostArgument = Annotated[
    str,
    typer.Argument(
        metavar="HOST",
        help="The host, as named under `hosts` in the spec.",
        autocompletion=completes("hosts"),
    ),
]
HostsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[HOST]…",
        help="Hosts, as named under `hosts` in the spec; default: all.",
        autocompletion=completes("hosts"),
    ),
]


@app.command()
def check(hosts: HostsArgument = None, *, place: SpecPlace, out: JsonOutput) -> None:
    """Check whether the hosts can run the stack: one line per check and host. Changes nothing.

    All hosts are asked at the same time, and each has six seconds to answer; a host that does not answer is
    reported. Works before the first `up`. Ends with exit code 1 if a check failed.

    Examples:

      techsapo hosts check

      techsapo hosts check a --json
    """
    topology, fleet = _opened(place, hosts or ())
    report = check_hosts(topology, fleet, hosts or ())
    if out.as_json:
        out.json({"well": report.well, "facts": report.facts})
    else:
        rows = [(f.host or msg("all"), f.name, f.level.value, f.detail, f.remedy) for f in report.facts]
        out.table(("host", "what", "state", "detail", "what to do"), rows)
    if not report.well:
        raise typer.Exit(1)


@app.command()
def add(hosts: HostsArgument = None, *, place: SpecPlace, wait: WaitOption = 0.0, out: QuietOutput) -> None:
    """Join hosts of the spec to the Swarm as managers; by default, all hosts that are not in the Swarm yet.

    If there is no Swarm, the first host creates one, with the address from the spec and a heartbeat of 20 s.
    The join token is never shown, and never passed in a program's arguments. The command can be repeated.

    Examples:

      techsapo hosts add

      techsapo hosts add c
    """
    topology, fleet = _opened(place, hosts or ())
    with beside_others(fleet, topology.layout, wait, out.warn):
        done = join(fleet, topology.spec.project, topology.machines, hosts or (), out.say)
        for name in done.joined:
            folders.forget(topology.layout, name)
    new = [*([done.began] if done.began else []), *done.joined]
    out.say(
        msg("hosts now in the Swarm: {names}", names=", ".join(new))
        if new
        else msg("all hosts are already in the Swarm")
    )
    out.next("techsapo up" if done.unlabelled else "techsapo hosts check")


@app.command()
def drain(
    host: HostArgument,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Drain the host even if the other hosts are too few to keep the stack running."
        ),
    ] = False,
    *,
    place: SpecPlace,
    wait: WaitOption = 0.0,
    out: QuietOutput,
) -> None:
    """Stop the stack on one host, for work on the host or a reboot; the other hosts keep running.

    Leading roles on the host, such as the Redis master, are handed over first, so no write is lost. The
    floating address moves to another host. Refused if the other hosts would have no quorum of managers or of
    a database. The host stays drained until `techsapo hosts activate`.

    Examples:

      techsapo hosts drain c
    """
    stack = open_stack(place.open())
    _require_host(stack.topology, host)
    seconds = perform_drain(stack, host, force=force, wait=wait, say=out.say, warn=out.warn)
    out.say(
        msg("the stack no longer runs anything on host {host} ({seconds:.0f} s)", host=host, seconds=seconds)
    )
    out.next(f"techsapo hosts activate {host}")


@app.command()
def activate(host: HostArgument, *, place: SpecPlace, wait: WaitOption = 0.0, out: QuietOutput) -> None:
    """Let the stack run on a drained host again, and wait until everything on the host is ready.

    Examples:

      techsapo hosts activate c
    """
    stack = open_stack(place.open())
    _require_host(stack.topology, host)
    seconds = perform_activate(stack, host, wait=wait, say=out.say, warn=out.warn)
    out.say(msg("everything is ready on host {host} ({seconds:.0f} s)", host=host, seconds=seconds))


@app.command()
def remove(
    host: HostArgument,
    gone: Annotated[
        bool,
        typer.Option("--gone", help="The host is lost for good, but stays in the spec until you replace it."),
    ] = False,
    yes: YesOption = False,
    *,
    place: SpecPlace,
    wait: WaitOption = 0.0,
    out: QuietOutput,
) -> None:
    """Remove a host from the Swarm: one that the spec no longer names, or one that is lost.

    With --gone, the host may still be in the spec, since a spec needs three or five hosts. Until the host is
    replaced, `down` and similar commands work without it, and `up` waits for the new host. --gone is refused
    for a host that answers.

    Examples:

      techsapo hosts remove e

      techsapo hosts remove c --gone --yes
    """
    stack = open_stack(place.open())
    engine = swarm_of(stack.engine)
    require_yes(leaving(engine, host, gone=gone).question, yes=yes)
    what = {"host": host, "gone": gone}
    with at_work(stack.layout, wait, out.warn), recorded(stack.layout, "hosts remove", what, out.warn):
        nodes = leave(engine, host, gone=gone, say=out.say)
    out.say(msg("host {host} is no longer in the Swarm", host=host))
    if any(node.ready for node in nodes):
        out.say(
            msg(
                "on host {host} itself, run `docker swarm leave --force`; the volumes stay on that host",
                host=host,
            )
        )
    if gone:
        out.next(f"techsapo hosts replace {host}")


@app.command()
def replace(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The host that was lost.")],
    new: Annotated[
        str | None,
        typer.Argument(
            metavar="[NEW]",
            help="The new host, as named under `hosts`; default: a new machine with the old name.",
        ),
    ] = None,
    *,
    place: SpecPlace,
    wait: WaitOption = 0.0,
    timeout: GateOption = None,
    out: QuietOutput,
) -> None:
    """Replace a lost host with a new machine, and wait until the new machine is complete and ready.

    Removes the lost host from the Swarm's Raft group and joins the new one. The new host gets images, keys
    and certificates, and its databases copy the data from the other hosts. If the command fails, run it
    again. Any other changes in the spec are applied, too.

    Examples:

      techsapo hosts replace c

      techsapo hosts replace c d
    """
    stack = open_stack(place.open(), seconds=timeout, tell=out.say)
    progress = Progress(out)

    def apply() -> None:
        report = up(stack, progress, wait=wait)
        if report is not None:
            show_failures(report.outcomes, report.back, out)
        if report is None or report.failures:
            raise OpsError(
                msg("host {host} has joined, but not every service is running on it", host=new or old),
                msg("`techsapo up` continues the replacement; `techsapo hosts check` shows what is missing"),
            )

    seconds = perform_replace(stack, old, new or old, apply, wait=wait, listener=progress)
    out.say(msg("host {host} is ready, after {seconds:.0f} s", host=new or old, seconds=seconds))
    out.next("techsapo health")


@app.command()
def switchover(
    service: Annotated[str, typer.Argument(help="The service to switch over.")],
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="HOST",
            help="The host that takes the service over.",
            show_default="a host in sync",
        ),
    ] = None,
    *,
    place: SpecPlace,
    out: QuietOutput,
) -> None:
    """Make the Redis of another host the master, without losing a write.

    Writes wait for a second or two, until the replica has all earlier writes. If no replica is in sync,
    nothing is changed. Useful before work on a host.

    Examples:

      techsapo hosts switchover redis

      techsapo hosts switchover redis --to b
    """
    stack = open_stack(place.open())
    with at_work(stack.layout, 0.0, out.warn):
        handover = take_over(stack, service, to, out.warn)
    out.say(
        msg(
            "host {now} has taken over from host {before} in {seconds:.1f} s",
            now=handover.now,
            before=handover.before,
            seconds=handover.seconds,
        )
    )
    out.say(
        msg("no write was lost")
        if not handover.lost
        else msg("{count:,} bytes of writes were lost", count=handover.lost)
    )


def _require_host(topology: Topology, host: str) -> None:
    names = [machine.name for machine in topology.machines]
    if names and host not in names:
        raise unknown(msg("host"), host, names)


def _opened(place: SpecChoice, hosts: Sequence[str]) -> tuple[Topology, Fleet]:
    """Raises OpsError for a spec without hosts, and for a name that is none of them."""
    topology = topology_for(place.open())
    if not topology.machines:
        raise on_one_host()
    for host in hosts:
        _require_host(topology, host)
    return topology, fleet_of(topology.machines, runner())
