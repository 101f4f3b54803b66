"""The drills of a stack on several hosts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from techsapo_ops.cli.completes import completes
from techsapo_ops.cli.drill_run import run_drill
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import JsonQuietOutput, SpecChoice, SpecPlace, YesOption
from techsapo_ops.cli.output import Output, confirm
from techsapo_ops.messages import msg
from techsapo_ops.operations.administration import recorded

if TYPE_CHECKING:
    from techsapo_ops.operations.drills.report import ClusterDrill

HostArgument = Annotated[
    str | None,
    typer.Argument(metavar="[HOST]", help="A name under `hosts`.", autocompletion=completes("hosts")),
]
RateOption = Annotated[float, typer.Option("--rate", min=1, max=100, help="Simulated requests a second.")]
AwayOption = Annotated[
    int, typer.Option("--seconds", min=5, max=40, help="For how long the host stays away.")
]


def failover_host(
    host: HostArgument = None,
    rate: RateOption = 20.0,
    seconds: AwayOption = 20,
    *,
    place: SpecPlace,
    yes: YesOption = False,
    out: JsonQuietOutput,
) -> None:
    """Kill all that the stack runs on a host, keep it away for a while, and see what users would notice.

    By default the host that has the front's address. This is done to the live stack, under simulated
    traffic, and asked first. Not a power cut: kernel, disk and Docker of the host go on. What else Swarm
    runs there is stopped for that time, too.

    Examples:

      techsapo drill failover-host

      techsapo drill failover-host b --seconds 30
    """
    _cluster(place, "failover-host", host, rate, seconds, yes, out)


def failover_leader(
    rate: RateOption = 20.0, *, place: SpecPlace, yes: YesOption = False, out: JsonQuietOutput
) -> None:
    """Kill the Redis that is the master, and see which one Sentinel chooses, and what is lost.

    Tells how long writes waited, and how many plain ones were lost: those that wait for no replica. Done to
    the live stack of several hosts, and asked first.

    Examples:

      techsapo drill failover-redis
    """
    _cluster(place, "failover-redis", None, rate, 0, yes, out)


def failover_member(
    host: HostArgument = None,
    rate: RateOption = 20.0,
    *,
    place: SpecPlace,
    yes: YesOption = False,
    out: JsonQuietOutput,
) -> None:
    """Kill a member of the audit database while rows are written, and read all of them back.

    By default that of the host that has the front's address. Done to the live stack of several hosts, and
    asked first.

    Examples:

      techsapo drill failover-mysql
    """
    _cluster(place, "failover-mysql", host, rate, 0, yes, out)


def partition(
    host: HostArgument = None,
    rate: RateOption = 20.0,
    seconds: AwayOption = 20,
    *,
    place: SpecPlace,
    yes: YesOption = False,
    out: JsonQuietOutput,
) -> None:
    """Cut a host off from the others for a while, and see what users would notice.

    By default the host of the Redis that is the master. Nothing that it sends reaches the other hosts; it
    ends that by itself, also where this command is killed. Done to the live stack, and asked first. It
    needs keepalived (`floating_address`), whose image can do it.

    Examples:

      techsapo drill partition c --seconds 15
    """
    _cluster(place, "partition", host, rate, seconds, yes, out)


def put_back(*, place: SpecPlace, out: JsonQuietOutput) -> None:
    """Put back what a drill that was killed has taken away from a stack of several hosts, and wait for it.

    Examples:

      techsapo drill put-back
    """
    from techsapo_ops.operations.drills.cluster.course import finish

    stack = open_stack(place.open())
    with recorded(stack.layout, msg("drill put-back"), {}, out.warn):
        found = finish(stack, out.say)
    if out.as_json:
        out.json({"put_back": None if found is None else asdict(found)})
    elif found is None:
        out.say(msg("no drill has left anything to put back"))
    else:
        out.say(msg("{what} is back", what=found.service or found.host))


def _cluster(
    place: SpecChoice,
    drill: ClusterDrill,
    host: str | None,
    rate: float,
    seconds: int,
    yes: bool,
    out: Output,
) -> None:
    from techsapo_ops.operations.drills.cluster.course import seconds_of
    from techsapo_ops.operations.drills.cluster.plan import planned
    from techsapo_ops.operations.drills.cluster.run import cluster_drill
    from techsapo_ops.operations.drills.target import load_of

    stack = open_stack(place.open())
    taking = planned(stack, drill, host, seconds)
    words = {
        "failover-host": msg("all that the stack runs on {what} will be killed, for {seconds} s",
                             what=taking.what, seconds=seconds),
        "partition": msg("{what} will be cut off from the other hosts for {seconds} s",
                         what=taking.what, seconds=seconds),
    }  # fmt: skip
    out.say(words.get(drill) or msg("{what} will be killed, while it runs for users", what=taking.what))
    if not confirm(msg("do it?"), yes=yes):
        out.say(msg("nothing was done; --yes begins without asking"))
        raise typer.Exit(1)
    other = next(m.name for m in stack.topology.machines if m.name != taking.host)
    load = load_of(stack, other, rate=rate, seconds=seconds_of(taking), again_after=2.0)
    run_drill(
        stack, drill, {"host": taking.host, "service": taking.service or None, "run": load.run},
        lambda begin: cluster_drill(stack, begin, taking=taking, load=load, say=out.say), out,
    )  # fmt: skip


COMMANDS: Mapping[str, Callable[..., None]] = {
    "failover-host": failover_host,
    "failover-redis": failover_leader,
    "failover-mysql": failover_member,
    "partition": partition,
    "put-back": put_back,
}
