"""`techsapo drill`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from techsapo_ops.cli import drill_cluster
from techsapo_ops.cli.bundles import CommandGroup
from techsapo_ops.cli.drill_run import run_drill
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import (
    BackupArgument,
    JsonOutput,
    JsonQuietOutput,
    SpecPlace,
    WaitOption,
    YesOption,
)
from techsapo_ops.cli.output import confirm
from techsapo_ops.cli.views.drills import list_reports, show_report
from techsapo_ops.messages import msg
from techsapo_ops.operations.drills.kept import find, reports

if TYPE_CHECKING:
    pass

app = CommandGroup(
    no_args_is_help=True,
    help="Try failures out and time them, e.g. `techsapo drill restore`.",
)


@app.command()
def restore(
    which: BackupArgument = "latest",
    *,
    place: SpecPlace,
    wait: WaitOption = 0.0,
    out: JsonQuietOutput,
) -> None:
    """Restore the newest backup into throwaway servers, compare, and time it.

    Nothing of the stack is touched. Exit code 1 where it takes longer than `objectives.data`, or does not
    restore to what was backed up.

    Examples:

      techsapo drill restore
    """
    from techsapo_ops.backup.repository import repository_of
    from techsapo_ops.cli.views.backups import Bars
    from techsapo_ops.operations.drills.restoring import drill_restore

    stack = open_stack(place.open())
    now = datetime.now(UTC)
    with Bars(out, repository_of(stack)) as bars:
        run_drill(
            stack, "restore", {"backup": which},
            lambda begin: drill_restore(stack, begin, which=which, now=now, wait=wait, told=bars.told),
            out,
        )  # fmt: skip


@app.command()
def alert(
    also: Annotated[
        Literal["warning", "critical"] | None,
        typer.Option("--also", help="Send one of this severity too, through Alertmanager alone."),
    ] = None,
    *,
    place: SpecPlace,
    out: JsonQuietOutput,
) -> None:
    """Let the alert Drill fire, and time it to Prometheus, Alertmanager and the receivers of info.

    Messages say that it is a drill. Nobody is woken: outside business hours receivers are left out, and
    --also critical is refused. Looks at the dead man's switch (Watchdog) too.

    Examples:

      techsapo drill alert

      techsapo drill alert --also warning
    """
    from techsapo_ops.operations.drills.alerting import drill_alert

    stack = open_stack(place.open())
    now = datetime.now(UTC)
    run_drill(
        stack, "alert", {"also": also},
        lambda begin: drill_alert(stack, begin, also=also, now=now, say=out.say), out,
    )  # fmt: skip


@app.command(name="failover-app")
def failover_app(
    rate: Annotated[
        float, typer.Option("--rate", min=1, max=100, help="Simulated requests a second.")
    ] = 10.0,
    *,
    place: SpecPlace,
    yes: YesOption = False,
    out: JsonQuietOutput,
) -> None:
    """Kill the busiest instance of the app, and see what users would notice.

    This is done to the live stack, under simulated traffic that asks no model and costs nothing. It asks
    first. It is not begun, and stopped at once, while an apply or a backup runs, a critical alert fires,
    users' requests fail, or another instance is not ready.

    Examples:

      techsapo drill failover-app

      techsapo drill failover-app --yes --json
    """
    from techsapo_ops.operations.drills.failover import SECONDS
    from techsapo_ops.operations.drills.failover import failover_app as operation
    from techsapo_ops.operations.drills.target import load_of
    from techsapo_ops.operations.drills.victim import chosen

    stack = open_stack(place.open())
    victim = chosen(stack)
    out.say(
        msg(
            "{victim} (weight {weight}, pid {pid}) will be killed, while it runs for users",
            victim=victim.name,
            weight=victim.weight,
            pid=victim.pid,
        )
    )
    out.say(
        msg("meanwhile {other} answers", other=victim.others[0])
        if len(victim.others) == 1
        else msg("meanwhile {others} answer", others=", ".join(victim.others))
    )
    if not confirm(msg("kill it?"), yes=yes):
        out.say(msg("nothing was done; --yes begins without asking"))
        raise typer.Exit(1)
    load = load_of(stack, rate=rate, seconds=SECONDS)
    run_drill(
        stack, "failover-app", {"instance": victim.name, "run": load.run},
        lambda begin: operation(stack, begin, instance=victim.name, load=load, say=out.say), out,
    )  # fmt: skip


@app.command()
def recover(*, place: SpecPlace, out: JsonQuietOutput) -> None:
    """Recover the whole stack from the off-site repository, into a scratch copy, and time it.

    The copy has a folder, ports and a project of its own, no schedule, no receivers and no certificates, and
    is gone afterwards. The live stack is not touched.

    Examples:

      techsapo drill recover
    """
    from techsapo_ops.cli.recover_doors import RecoverDoors
    from techsapo_ops.operations.drills.load import fresh_run
    from techsapo_ops.operations.drills.recovering import drill_recover

    stack = open_stack(place.open())
    name = fresh_run()
    doors = RecoverDoors(out)
    run_drill(
        stack, "recover", {"scratch": name},
        lambda begin: drill_recover(stack, begin, doors, name=name, say=out.say), out,
    )  # fmt: skip


for name, command in drill_cluster.COMMANDS.items():
    app.command(name=name)(command)


@app.command(name="list")
def list_drills(*, place: SpecPlace, out: JsonOutput) -> None:
    """List the drills, the newest last.

    Examples:

      techsapo drill list
    """
    found = reports(open_stack(place.open()).layout)
    if out.as_json:
        out.json({"drills": [report.to_json() for report in found]})
        return
    list_reports(found, out)


@app.command()
def show(
    which: Annotated[str, typer.Argument(metavar="[ID]", help="An id, its beginning, or latest.")] = "latest",
    *,
    place: SpecPlace,
    out: JsonOutput,
) -> None:
    """Show the report of a drill.

    Examples:

      techsapo drill show

      techsapo drill show 20260131T100000Z --json
    """
    layout = open_stack(place.open()).layout
    report = find(layout, which)
    if out.as_json:
        out.json(report.to_json())
        return
    show_report(report, out)
