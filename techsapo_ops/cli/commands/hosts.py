"""`techsapo hosts`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from techsapo_ops.cli.bundles import CommandGroup
from techsapo_ops.cli.completes import completes
from techsapo_ops.cli.environment import runner
from techsapo_ops.cli.open_stack import topology_for
from techsapo_ops.cli.options import JsonOutput, JsonQuietOutput, SpecChoice, SpecPlace
from techsapo_ops.engines.opening import fleet_of
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.hosts.check import check as look
from techsapo_ops.operations.hosts.join import add as join
from techsapo_ops.spec.problems import unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from techsapo_ops.adapters.fleet import Fleet
    from techsapo_ops.stack.topology import Topology

app = CommandGroup(
    no_args_is_help=True,
    help="Check the hosts of a stack on several machines, let them join, take them out, "
    "e.g. `techsapo hosts check`.",
)

HostsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[HOST]…", help="Names under `hosts`; default: all.", autocompletion=completes("hosts")
    ),
]


@app.command()
def check(hosts: HostsArgument = None, *, place: SpecPlace, out: JsonOutput) -> None:
    """Say whether the hosts can carry the stack: a line for each fact and host. Changes nothing.

    All are asked at the same time, for six seconds each; one that does not answer is said and not waited
    for. It works before anything was brought up. Ends with 1 where something failed.

    Examples:

      techsapo hosts check

      techsapo hosts check a --json
    """
    topology, fleet = _opened(place, hosts or ())
    found = look(topology, fleet, hosts or ())
    if out.as_json:
        out.json(
            {
                "well": found.well,
                "facts": [
                    {
                        "host": f.host or None,
                        "fact": f.name,
                        "level": f.level.value,
                        "detail": f.detail,
                        "remedy": f.remedy,
                    }
                    for f in found.facts
                ],
            }
        )
    else:
        rows = [(f.host or msg("all"), f.name, f.level.value, f.detail, f.remedy) for f in found.facts]
        out.table(("host", "what", "state", "detail", "what to do"), rows)
    if not found.well:
        raise typer.Exit(1)


@app.command()
def add(hosts: HostsArgument = None, *, place: SpecPlace, out: JsonQuietOutput) -> None:
    """Let hosts of the spec join the Swarm as managers, by default all that are not in it.

    Where there is none, the first one makes it, with the address of the spec and a heartbeat of 20 s. The
    token that lets them in is not shown, and in no program's arguments. It can be called again.

    Examples:

      techsapo hosts add

      techsapo hosts add c
    """
    topology, fleet = _opened(place, hosts or ())
    done = join(fleet, topology.spec.project, topology.machines, hosts or (), out.say)
    if out.as_json:
        out.json({
            "began": done.began or None, "joined": list(done.joined), "already": list(done.already),
            "left_to_up": list(done.unlabelled),
        })  # fmt: skip
        return
    new = [*([done.began] if done.began else []), *done.joined]
    out.say(
        msg("in the Swarm now: {names}", names=", ".join(new)) if new else msg("all of them are in the Swarm")
    )
    out.next("techsapo up" if done.unlabelled else "techsapo hosts check")


def _opened(place: SpecChoice, hosts: Sequence[str]) -> tuple[Topology, Fleet]:
    """Raises OpsError for a spec without hosts, and for a name that is none of them."""
    topology = topology_for(place.open())
    if not topology.machines:
        raise OpsError(
            msg("this stack is on one host"),
            msg("docs/three-machines.md says how it moves to three; `engine: swarm` and `hosts`"),
            exit_code=2,
        )
    names = [machine.name for machine in topology.machines]
    for host in hosts:
        if host not in names:
            raise unknown(msg("host"), host, names)
    return topology, fleet_of(topology.machines, runner(), topology.host.binaries.get("docker", "docker"))
