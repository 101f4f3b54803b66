"""`techsapo up`."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from techsapo_ops.apply.plan import plan_of
from techsapo_ops.apply.prechecks import require_app_starts
from techsapo_ops.apply.spec_files import applied_elsewhere
from techsapo_ops.apply.up import up as up_with_data
from techsapo_ops.apply.up import up_empty
from techsapo_ops.backup.restore.going_back import undo_interrupted
from techsapo_ops.cli.apply.plan_view import (
    COMPARING,
    Progress,
    back_json,
    plan_summary,
    show_failures,
    show_plan,
    steps_json,
    tell_plan,
)
from techsapo_ops.cli.open_stack import choose_engine, history_beside, stack_on
from techsapo_ops.cli.options import (
    CHANGES_PENDING,
    DryRunOption,
    EngineOption,
    FullOutput,
    GateOption,
    OverwriteOption,
    ServicesArgument,
    SpecChoice,
    SpecPlace,
    WaitOption,
    YesOption,
)
from techsapo_ops.cli.output import Output, confirm, interactive
from techsapo_ops.cli.project import require_own_rules
from techsapo_ops.cli.trusted_project import require_trust_of_jobs
from techsapo_ops.cli.watch.services_view import stopped_lines
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import facts
from techsapo_ops.spec import NO_ENVIRONMENT
from techsapo_ops.stack.journal import Operation, require_ended

if TYPE_CHECKING:
    from techsapo_ops.apply.plan import StackPlan
    from techsapo_ops.apply.up import UpReport
    from techsapo_ops.stack.places import EngineName


def up(
    services: ServicesArgument = None,
    *,
    place: SpecPlace,
    engine: EngineOption = None,
    saved: Annotated[
        Path | None,
        typer.Option(
            "--plan",
            metavar="FILE",
            help="Do exactly what this file from `plan --out` says, or do nothing.",
            show_default=False,
        ),
    ] = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    force: OverwriteOption = False,
    empty: Annotated[
        bool, typer.Option("--empty", help="Start without the earlier data that is gone; this is recorded.")
    ] = False,
    wait: WaitOption = 0.0,
    timeout: GateOption = None,
    out: FullOutput,
) -> None:
    """Start the stack, or bring it up to date with the spec.

    Touches only what has changed. On a terminal, changes to a running stack are shown first and must be
    confirmed. Without -e the stack keeps its environment; another environment must be confirmed, or needs
    --yes. Afterwards `up` asks the running services what they have loaded; if anything fails, the stack goes
    back to the last good apply. An interrupted restore is undone first.

    If earlier data is gone, `up` does nothing and names the latest backup of that data; --empty starts
    without the data. With --plan, `up` asks for no confirmation, because you have read the plan. If anything
    that the plan depends on has changed, `up` does nothing and shows what has changed.

    The exit code is 0 only when every service that was started is ready and runs the new configuration; with
    --dry-run, it is as for `techsapo plan`.

    Examples:

      techsapo up

      techsapo up prometheus alertmanager

      techsapo up -e production --yes

      techsapo up --plan change.plan
    """
    only = tuple(services or ())
    wanted = Wanted(place, engine, only) if saved is None else by_plan(saved, place, engine, only)
    project = wanted.place.open()
    topology, choice = choose_engine(project, wanted.engine)
    if choice.decided:
        out.say(
            msg(
                "engine: {engine} ({reason}); --engine changes it", engine=choice.engine, reason=choice.reason
            )
        )
    by_sudo = require_trust_of_jobs(topology)
    require_own_rules(project, topology)
    stack = stack_on(project, topology, seconds=timeout, tell=out.say)
    leaves = stack.leaves(topology)
    if leaves is not None:
        out.say(
            msg(
                "the stack moves from engine {leaves} to {engine}: its services are first stopped on "
                "{leaves}, and the data on {leaves} is not moved",
                leaves=leaves.name,
                engine=topology.engine,
            )
        )

    if dry_run:
        preview = plan_of(stack, wanted.services)
        wanted.require(preview)
        require_app_starts(preview, stack.disabled)
        if elsewhere := applied_elsewhere(stack):
            out.warn(elsewhere)
        tell_plan(
            preview,
            out,
            then="techsapo up" if saved is None else f"techsapo up --plan {shlex.quote(str(saved))}",
        )
        if preview.lost:
            raise typer.Exit(1)
        raise typer.Exit(CHANGES_PENDING if preview.changes else 0)
    progress = Progress(out)
    if saved is not None or leaves is not None:
        # That is in no plan, and what the restore replaced is where the stack still is.
        require_ended(stack.layout, Operation.RESTORE)
    if leaves is None:
        undo_interrupted(stack, progress, out.say, wait=wait)

    def approve(plan: StackPlan) -> bool:
        compared()
        wanted.require(plan)
        progress.origins = plan.origins.services
        if plan.environment is not None and (yes or saved is not None):
            out.say(str(plan.environment))
        elif plan.environment is not None and not interactive():
            raise OpsError(
                msg("{change}: nothing was changed", change=plan.environment),
                msg("pass --yes to agree; without -e the stack keeps its environment"),
            )
        asks = plan.environment is not None or (plan.changes and plan.running and interactive())
        if yes or saved is not None or not asks:
            return True
        show_plan(plan, out)
        return confirm(msg("go ahead?"), yes=False)

    perform = up_empty if empty else up_with_data
    with out.busy(COMPARING) as compared:
        report = perform(stack, progress, only=wanted.services, force=force, wait=wait, approve=approve)
    if report is None:
        out.say(msg("nothing was changed"))
        raise typer.Exit(1)
    if out.as_json:
        out.json({**_json(report), "unreached": list(project.spec.unreached)})
    else:
        _show(report, out)
        if nobody := project.spec.nobody_notified:
            out.say(nobody)
    for warning in project.warnings:
        out.warn(str(warning))
    if by_sudo is not None:
        out.warn(
            msg(
                "this project is trusted only because the command ran with sudo; before the next reboot: "
                "{hint}",
                hint=by_sudo.hint,
            )
        )
    show_failures(report.outcomes, report.back, out)
    if report.failures:
        raise typer.Exit(1)
    out.next(_next(report))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What `up` is about. `require` raises OpsError for a plan that is not the one in the file."""

    place: SpecChoice
    engine: EngineName | None
    services: tuple[str, ...]
    require: Callable[[StackPlan], None] = lambda _: None


def by_plan(file: Path, place: SpecChoice, engine: EngineName | None, services: tuple[str, ...]) -> Wanted:
    """What the plan in `file` is about; `place`, `engine` and `services` are what else was given.

    Raises OpsError (exit code 2) where they say something else, and for a file that is not to be trusted.
    """
    from techsapo_ops.apply.plan_file import read_plan, require_holds

    saved = read_plan(file)
    chosen = saved.environment or NO_ENVIRONMENT
    for given, planned, what in (
        (place.environment, chosen, "--environment"),
        (engine, saved.engine, "--engine"),
        (services or None, saved.services, msg("services")),
    ):
        if given is not None and given != planned:
            raise OpsError(
                msg("{what}: the value differs from the plan in {file}", what=what, file=file),
                msg("leave out {what}: the plan already contains it", what=what),
                exit_code=2,
            )
    return Wanted(
        SpecChoice(place.file, chosen),
        saved.engine,
        saved.services,
        require_holds(saved, history_beside(place.file)),
    )


def _show(report: UpReport, out: Output) -> None:
    if not report.changed and not report.failures:
        out.say(msg("up to date"))
    if not out.quiet:
        out.table(("SERVICE", "STATE", "URL", ""), [(r.service, r.state, r.url, r.note) for r in report.rows])
    for line in stopped_lines(report.plan.observed):
        out.say(line)
    for tool in report.missing_tools:
        unchecked = ", ".join(tool.unchecked)
        out.say(
            msg(
                "not checked, because {tool} is not installed: {unchecked} ({remedy})",
                tool=tool.tool,
                unchecked=unchecked,
                remedy=tool.remedy,
            )
        )
    if report.absent:
        out.say(msg("not running:"))
        width = max(len(a.kind) for a in report.absent)
        for absent in report.absent:
            out.say(
                msg(
                    "  {kind:{width}}  {reason}: {remedy}",
                    width=width,
                    kind=absent.kind,
                    reason=absent.reason,
                    remedy=absent.remedy,
                )
            )
    for note in report.notes:
        out.say(note)


def _next(report: UpReport) -> str:
    ready = [row for row in report.rows if facts()[row.kind].runs_package and row.state == "running"]
    if not ready:
        return "techsapo health"
    return msg('techsapo ask "Dockerコンテナが起動しない"')


def _json(report: UpReport) -> dict[str, Any]:
    return {
        "changed": report.changed,
        "summary": plan_summary(report.plan),
        "services": [
            {"service": r.service, "kind": r.kind, "state": r.state, "url": r.url} for r in report.rows
        ],
        "steps": steps_json(report.outcomes, report.plan.origins.services),
        "apply": report.entry.id if report.entry is not None else None,
        "went_back": back_json(report.back),
        "absent": report.absent,
        "notes": report.notes,
    }
