"""`techsapo drill`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from techsapo_ops.cli.arguments import completes
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import (
    JsonOutput,
    JsonQuietOutput,
    SpecPlace,
    YesOption,
)
from techsapo_ops.cli.output import Output, confirm
from techsapo_ops.cli.typer_base import CommandGroup
from techsapo_ops.drills.report import find, reports
from techsapo_ops.messages import msg

if TYPE_CHECKING:
    from techsapo_ops.drills.failover import Fault
    from techsapo_ops.drills.report import Drill, Failover, Phase, Report, Work
    from techsapo_ops.drills.traffic import Load
    from techsapo_ops.stack.stack import Stack


app = CommandGroup(
    no_args_is_help=True,
    help="Rehearse failures and time them, e.g. `techsapo drill restore`.",
)


def _perform(stack: Stack, drill: Drill, what: Mapping[str, object], work: Work, out: Output) -> None:
    """Do it, show its report, and end with 1 where something was missed."""
    from techsapo_ops.drills.report import perform

    report, file = perform(stack, drill, what, work, warn=out.warn)
    if out.as_json:
        out.json({**report.to_json(), "file": str(file)})
    else:
        _show(report, out)
        out.say(msg("report: {file}", file=file))
    if not report.ok:
        raise typer.Exit(1)


def _failover(stack: Stack, drill: Failover, fault: Fault, load: Load, yes: bool, out: Output) -> None:
    """Ask whether what `fault` names is to be lost, and lose it."""
    from techsapo_ops.drills.failover import SECONDS, failover

    if not confirm(msg("start the drill?"), yes=yes):
        out.say(msg("nothing was done; --yes starts without asking"))
        raise typer.Exit(1)
    load = replace(load, seconds=SECONDS)
    _perform(
        stack, drill, {"killed": fault.name, "run": load.run},
        lambda begin: failover(stack, begin, fault, load, out.say), out,
    )  # fmt: skip


@app.command()
def restore(*, place: SpecPlace, out: JsonQuietOutput) -> None:
    """Restore the newest backup into throwaway servers, compare the data, and time the restore.

    The stack is not touched. Ends with exit code 1 if the restore takes longer than 15 minutes, or if the
    restored data differs from the backup.

    Examples:

      techsapo drill restore
    """
    from techsapo_ops.backup.repository.folder import repository_of
    from techsapo_ops.cli.backup.backups_view import Bars
    from techsapo_ops.drills.trials import drill_restore

    stack = open_stack(place.open())
    now = datetime.now(UTC)
    with Bars(out, repository_of(stack)) as bars:
        _perform(
            stack,
            "restore",
            {},
            lambda begin: drill_restore(stack, begin, now=now, progress=bars.progress),
            out,
        )


@app.command()
def alert(
    to_page: Annotated[
        bool,
        typer.Option(
            "--to-page", help="Page the people on call, and wait until one of them acknowledges the page."
        ),
    ] = False,
    within: Annotated[
        float,
        typer.Option(
            "--within",
            metavar="SECONDS",
            min=10,
            max=3600,
            help="Time allowed to acknowledge the page.",
        ),
    ] = 900.0,
    *,
    place: SpecPlace,
    out: JsonQuietOutput,
) -> None:
    """Fire the `Drill` alert, and time its way to Prometheus, Alertmanager and the receivers of `info`
    alerts.

    The messages say that this is a drill. With --to-page, the drill pages the people on call
    (`notifications.page`) and ends when somebody acknowledges the page. If nobody does, the `DrillMissed`
    alert fires; it is not urgent (P2). The drill wakes nobody: outside business hours, the receivers of
    `info` alerts get no message, and --to-page is refused.

    Examples:

      techsapo drill alert

      techsapo drill alert --to-page --within 300
    """
    from techsapo_ops.drills.alerting import drill_alert

    stack = open_stack(place.open())
    now = datetime.now(UTC)
    _perform(
        stack, "alert", {"to_page": to_page},
        lambda begin: drill_alert(stack, begin, page=within if to_page else 0.0, now=now, say=out.say), out,
    )  # fmt: skip


@app.command(name="failover-app")
def failover_app(*, place: SpecPlace, yes: YesOption = False, out: JsonQuietOutput) -> None:
    """Kill the busiest instance of the app, and see what users would notice.

    Runs on the live stack, with simulated traffic that asks no model and costs nothing. Asks for confirmation
    first. Does not start while an apply or a backup runs, a critical alert fires, users' requests fail, or
    another instance is not ready.

    Examples:

      techsapo drill failover-app

      techsapo drill failover-app --yes --json
    """
    from techsapo_ops.drills.faults import busiest
    from techsapo_ops.drills.traffic import load_of

    stack = open_stack(place.open())
    instance = busiest(stack)
    out.say(
        msg(
            "app instance {victim} (weight {weight}, pid {pid}) will be killed while serving users; these "
            "instances keep answering: {others}",
            victim=instance.name,
            weight=instance.weight,
            pid=instance.pid,
            others=", ".join(each.name for each in instance.others),
        )
    )
    _failover(stack, "failover-app", instance, load_of(stack), yes, out)


@app.command(name="failover-host")
def failover_host(
    host: Annotated[
        str | None,
        typer.Argument(
            metavar="[HOST]",
            help="The host, as named under `hosts` in the spec.",
            autocompletion=completes("hosts"),
        ),
    ] = None,
    seconds: Annotated[
        int, typer.Option("--seconds", min=5, max=40, help="How long the host stays down.")
    ] = 20,
    *,
    place: SpecPlace,
    yes: YesOption = False,
    out: JsonQuietOutput,
) -> None:
    """Kill everything that the stack runs on one host, keep these services down for a while, and see what
    users would notice.

    The default is the host that has the floating address. Runs on the live stack, with simulated traffic, and
    asks for confirmation first. This is not a power cut: the host's kernel, disk and Docker keep running.
    Everything else that Swarm runs on the host is stopped during the drill, too.

    Examples:

      techsapo drill failover-host

      techsapo drill failover-host b --seconds 30
    """
    from techsapo_ops.drills.faults import chosen
    from techsapo_ops.drills.traffic import load_of

    stack = open_stack(place.open())
    lost = chosen(stack, host, seconds)
    out.say(
        msg("everything that the stack runs on host {what} will be killed and kept down for {seconds} s",
            what=lost.name, seconds=seconds)
    )  # fmt: skip
    other = next(m.name for m in stack.topology.machines if m.name != lost.name)
    _failover(stack, "failover-host", lost, load_of(stack, other, again_after=2.0), yes, out)


@app.command()
def recover(*, place: SpecPlace, out: JsonQuietOutput) -> None:
    """Recover the whole stack from the off-site repository into a scratch copy, and time the recovery.

    The scratch copy has its own folder, ports and project, and no schedule, receivers or certificates. It is
    removed afterwards. The live stack is not touched.

    Examples:

      techsapo drill recover
    """
    from techsapo_ops.cli.backup.recover_doors import RecoverDoors
    from techsapo_ops.drills.traffic import fresh_run
    from techsapo_ops.drills.trials import drill_recover

    stack = open_stack(place.open())
    name = fresh_run()
    doors = RecoverDoors(out)
    _perform(
        stack, "recover", {"scratch": name},
        lambda begin: drill_recover(stack, begin, doors, name=name, say=out.say), out,
    )  # fmt: skip


@app.command(name="list")
def list_drills(*, place: SpecPlace, out: JsonOutput) -> None:
    """List the drills, the newest last.

    Examples:

      techsapo drill list
    """
    drills = reports(open_stack(place.open()).layout)
    if out.as_json:
        out.json({"drills": [report.to_json() for report in drills]})
        return
    if not drills:
        out.say(msg("no drill has been run yet"))
        out.next("techsapo drill restore")
        return
    rows = [
        (
            report.id,
            "ok" if report.ok else "missed",
            ", ".join(f"{p.name} {_took(p)}" for p in report.phases if p.objective is not None),
            "; ".join(report.missed),
        )
        for report in drills
    ]
    out.table(("id", "state", "took", "missed"), rows)


@app.command()
def show(
    which: Annotated[
        str, typer.Argument(metavar="[ID]", help="Id of the drill, the beginning of its id, or latest.")
    ] = "latest",
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
    _show(report, out)


def _show(report: Report, out: Output) -> None:
    """One drill: times next to their objectives, counts, and what was wrong."""
    if not (out.quiet and report.ok):
        _figures(report, out)
    for problem in report.problems:
        out.data(msg("{drill}: {line}", drill=report.drill, line=problem))
    for note in report.notes:
        out.say(note)
    if report.ok:
        out.say(msg("drill {id} met its objectives", id=report.id))
    else:
        out.say(msg("drill {id} missed its objectives: {map}", id=report.id, map="; ".join(report.missed)))


def _took(phase: Phase) -> str:
    return "never" if phase.seconds is None else f"{phase.seconds:.2f} s"


def _figures(report: Report, out: Output) -> None:
    rows = [
        (
            phase.name,
            _took(phase),
            "" if phase.objective is None else f"{phase.objective:g} s",
            "" if phase.objective is None else "ok" if phase.ok else "missed",
        )
        for phase in report.phases
    ]
    if rows:
        out.table(("phase", "took", "objective", "state"), rows, right=("took", "objective"))
    counts = [
        (name.replace("_", " "), "—" if value is None else f"{value:g}")
        for name, value in report.counts.items()
    ]
    if counts:
        out.data("")
        out.table(("what", "value"), counts, right=("value",))
    for name, fact in report.facts.items():
        out.data(f"{name}: {fact}")
