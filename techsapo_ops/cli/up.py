"""`techsapo up`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from techsapo_ops.cli.options import (
    DEFAULT_SPEC,
    EnvironmentOption,
    FileOption,
    JsonOption,
    QuietOption,
    VerboseOption,
    WaitOption,
    YesOption,
)
from techsapo_ops.cli.output import Output, confirm, interactive, print_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from techsapo_ops.operations.apply.origin import Origins
    from techsapo_ops.operations.apply.outcome import GoneBack, Outcome
    from techsapo_ops.operations.apply.plan import StackPlan
    from techsapo_ops.operations.apply.up import UpReport


class Progress:
    """Tells how an apply goes."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self.origins: Mapping[str, Origins] = {}
        """Where the steps come from, by service."""

    def say(self, text: str) -> None:
        """See Listener.say."""
        self._out.detail(text)

    def warn(self, text: str) -> None:
        """See Listener.warn."""
        self._out.warn(text)

    def done(self, outcome: Outcome) -> None:
        """See Listener.done."""
        from techsapo_ops.cli.stack_view import in_brackets

        name = outcome.step.service
        if outcome.error is not None:
            self._out.say(f"  {name:16} failed after {outcome.seconds:.1f} s")
        elif (action := outcome.step.action) != "nothing":
            why = "" if action == "create" else f"   {outcome.step.reason}"
            why += in_brackets(self.origins.get(name, ())) if why else ""
            self._out.say(f"  {name:16} {action.done} in {outcome.seconds:.1f} s{why}")


def up(
    services: Annotated[
        list[str] | None, typer.Argument(metavar="[SERVICE]…", help="Only these and what they need.")
    ] = None,
    file: FileOption = DEFAULT_SPEC,
    environment: EnvironmentOption = None,
    engine: Annotated[
        Literal["native", "compose"] | None, typer.Option("--engine", help="Overrides the spec's engine.")
    ] = None,
    yes: YesOption = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite generated files edited by hand.")] = False,
    wait: WaitOption = 0.0,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="SECONDS", min=1, help="How long a service may take to be ready."),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Start the stack, or bring it up to date with the spec.

    Only what changed is touched. On a terminal, changes of a running stack are shown first and asked for.
    What runs is read back afterwards; when anything fails, the last good apply is brought back.
    Ends with 0 only when every service that it started is ready and runs what was asked for.

    Examples:

      techsapo up

      techsapo up prometheus alertmanager

      techsapo up -e production --yes
    """
    from techsapo_ops.cli.stack_view import show_plan
    from techsapo_ops.cli.wiring import choose_engine, open_project, stack_on
    from techsapo_ops.operations.apply.up import up as perform
    from techsapo_ops.operations.root_trust import without_sudo

    out = Output(as_json=as_json, quiet=quiet, verbose=verbose)
    project = open_project(file, environment)
    topology, choice = choose_engine(project, engine)
    if choice.decided:
        out.say(f"engine: {choice.engine} ({choice.reason}); --engine changes it")
    stack = stack_on(project, topology, seconds=timeout, tell=out.say)
    leaves = stack.leaves(topology)
    if leaves is not None:
        out.say(
            f"the stack moves from the {leaves.name} engine to {topology.engine}: it is stopped there first, "
            "and its data stays there"
        )

    progress = Progress(out)

    def approve(plan: StackPlan) -> bool:
        progress.origins = plan.origins.services
        if yes or not plan.running or not interactive():
            return True
        show_plan(plan, out)
        return confirm("go ahead?", yes=False)

    report = perform(stack, progress, only=tuple(services or ()), force=force, wait=wait, approve=approve)
    if report is None:
        out.say("nothing was changed")
        raise typer.Exit(1)
    if as_json:
        out.json(_json(report))
    else:
        _show(report, out)
    for warning in project.warnings:
        out.warn(str(warning))
    if needed := without_sudo(project.path, project.overrides.folder):
        out.warn(f"root trusts this folder because of sudo alone; for cron and after a reboot {needed}")
    show_failures(report.outcomes, report.back, out)
    if report.failures:
        raise typer.Exit(1)
    out.next(_next(report))


def show_failures(outcomes: Sequence[Outcome], back: GoneBack | None, out: Output) -> None:
    """Print why services failed, and what became of the stack after that."""
    for outcome in outcomes:
        if outcome.error is not None:
            print_error(outcome.error)
    if back is None:
        return
    for error in back.failures:
        print_error(error)
    if back.failures:
        out.warn(f"went back to @{back.to}, but not entirely: see above")
    else:
        out.say(f"went back to @{back.to}: files and services are as they were")


def back_json(back: GoneBack | None) -> dict[str, Any] | None:
    """The way back with stable keys."""
    if back is None:
        return None
    return {"to": back.to, "complete": not back.failures, "errors": [e.message for e in back.failures]}


def steps_json(
    outcomes: Sequence[Outcome], origins: Mapping[str, Origins] | None = None
) -> list[dict[str, Any]]:
    """What was performed, with stable keys; `origins` by service, where they are known."""
    return [
        {
            "action": str(o.step.action),
            "service": o.step.service,
            "reason": o.step.reason,
            "origin": [str(origin) for origin in (origins or {}).get(o.step.service, ())],
            "seconds": round(o.seconds, 3),
            "error": o.error.message if o.error else None,
        }
        for o in outcomes
    ]


def _show(report: UpReport, out: Output) -> None:
    if not report.changed and not report.failures:
        out.say("up to date")
    if not out.quiet:
        out.table(("SERVICE", "STATE", "URL", ""), [(r.service, r.state, r.url, r.note) for r in report.rows])
    for tool in report.missing_tools:
        out.say(f"not checked, for want of {tool.tool}: {', '.join(tool.unchecked)} ({tool.remedy})")
    if report.absent:
        out.say("goes without:")
        width = max(len(a.kind) for a in report.absent)
        for absent in report.absent:
            out.say(f"  {absent.kind:{width}}  {absent.reason}: {absent.remedy}")
    for note in report.notes:
        out.say(note)


def _next(report: UpReport) -> str:
    if any(row.kind == "app" and row.state == "running" for row in report.rows):
        return 'techsapo ask "Dockerコンテナが起動しない"'
    return "techsapo health"


def _json(report: UpReport) -> dict[str, Any]:
    return {
        "changed": report.changed,
        "services": [
            {"service": r.service, "kind": r.kind, "state": r.state, "url": r.url} for r in report.rows
        ],
        "steps": steps_json(report.outcomes, report.plan.origins.services),
        "apply": report.entry.id if report.entry is not None else None,
        "went_back": back_json(report.back),
        "absent": [{"kind": a.kind, "reason": a.reason, "remedy": a.remedy} for a in report.absent],
        "notes": list(report.notes),
    }
