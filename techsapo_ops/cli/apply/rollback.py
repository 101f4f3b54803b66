"""`techsapo rollback`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from techsapo_ops.apply import rollback as operation
from techsapo_ops.cli.apply.apply_view import Progress, back_json, show_failures, steps_json
from techsapo_ops.cli.apply.plan_view import plan_summary, show_plan
from techsapo_ops.cli.open_stack import history_beside
from techsapo_ops.cli.options import (
    FullOutput,
    GateOption,
    OverwriteOption,
    SpecFile,
    WaitOption,
    YesOption,
)
from techsapo_ops.cli.output import confirm
from techsapo_ops.messages import msg

if TYPE_CHECKING:
    from techsapo_ops.apply.ledger_entry import LedgerEntry
    from techsapo_ops.apply.plan import StackPlan


def rollback(
    apply: Annotated[
        str | None,
        typer.Argument(
            metavar="[@N]",
            help="An apply of `techsapo changes list`; default: the last good one before the present.",
            show_default=False,
        ),
    ] = None,
    *,
    place: SpecFile,
    yes: YesOption = False,
    force: OverwriteOption = False,
    wait: WaitOption = 0.0,
    timeout: GateOption = None,
    out: FullOutput,
) -> None:
    """Go back to an earlier apply: its files and services, not its data.

    Needs neither the spec nor the templates of then, and is recorded as an apply of its own. After an apply
    that was interrupted, it goes back to what was good before. Fix the spec before the next `up`.

    Examples:

      techsapo rollback

      techsapo rollback @2 --yes
    """

    def approve(target: LedgerEntry, plan: StackPlan) -> bool:
        if yes:
            return True
        show_plan(plan, out)
        return confirm(
            msg("go back to @{id} of {time:%Y-%m-%d %H:%M:%S}?", id=target.id, time=target.time.astimezone()),
            yes=False,
        )

    report = operation.rollback(
        history_beside(place.stack_file(), seconds=timeout),
        apply,
        Progress(out),
        approve=approve,
        wait=wait,
        force=force,
    )
    if report is None:
        out.say(msg("nothing was changed; --yes goes back without asking"))
        raise typer.Exit(1)
    applied = report.applied
    failed = any(o.error is not None for o in applied.outcomes)
    if out.as_json:
        out.json(
            {
                "to": report.target.id,
                "changed": report.plan.changes,
                "summary": plan_summary(report.plan),
                "apply": applied.entry.id if applied.entry is not None else None,
                "steps": steps_json(applied.outcomes),
                "went_back": back_json(applied.back),
            }
        )
    show_failures(applied.outcomes, applied.back, out)
    if failed:
        raise typer.Exit(1)
    if not report.plan.changes:
        out.say(msg("everything is as in @{id} already", id=report.target.id))
        return
    out.say(msg("back to @{id}", id=report.target.id))
    out.next("techsapo plan")
