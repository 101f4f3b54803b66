"""`techsapo changes` and `rollback`: what was applied, what is no longer so, and going back to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from techsapo_ops.apply.changes import difference
from techsapo_ops.apply.drift import EDITED
from techsapo_ops.apply.drift import drift as find_drift
from techsapo_ops.apply.ledger import Ledger
from techsapo_ops.apply.ledger_entry import describe_files
from techsapo_ops.apply.up import rollback as go_back
from techsapo_ops.cli.apply.plan_view import (
    Progress,
    back_json,
    difference_line,
    difference_summary,
    plan_summary,
    show_failures,
    show_plan,
    steps_json,
)
from techsapo_ops.cli.open_stack import history_beside
from techsapo_ops.cli.options import (
    CHANGES_PENDING,
    FullOutput,
    GateOption,
    JsonQuietOutput,
    OverwriteOption,
    SpecFile,
    WaitOption,
    YesOption,
)
from techsapo_ops.cli.output import confirm, document
from techsapo_ops.cli.place import layout_beside
from techsapo_ops.cli.typer_base import CommandGroup
from techsapo_ops.cli.watch.services_view import action_word
from techsapo_ops.messages import joined, msg

if TYPE_CHECKING:
    from techsapo_ops.apply.ledger_entry import LedgerEntry
    from techsapo_ops.apply.plan import StackPlan


app = CommandGroup()


@app.command(name="list")
def list_changes(
    *,
    place: SpecFile,
    lines: Annotated[int, typer.Option("--lines", "-n", metavar="N", min=1, help="The last N applies.")] = 20,
    out: JsonQuietOutput,
) -> None:
    """List every apply: who, when, what, and the result. The current one is marked.

    The numbers never change: @7 always means the same apply.

    Examples:

      techsapo changes list

      techsapo changes list --json
    """
    ledger = Ledger(layout_beside(place.stack_file()).state)
    entries = ledger.entries()[-lines:]
    current = ledger.current()
    for path in ledger.damaged():
        out.warn(msg("{path} is damaged and was skipped", path=path))
    if out.as_json:
        out.json({"current": current.id if current else None, "applies": [_json(e) for e in entries]})
        return
    if not entries:
        out.say(msg("nothing was applied yet"))
        out.next("techsapo up")
        return
    out.table(
        ("", "APPLY", "TIME", "USER", "COMMAND", "RESULT", "SECONDS", "WHAT"),
        [
            (
                "*" if current is not None and entry.id == current.id else "",
                f"@{entry.id}",
                f"{entry.time.astimezone():%Y-%m-%d %H:%M:%S}",
                entry.user,
                entry.command + (f" -e {entry.environment}" if entry.environment else ""),
                entry.result,
                f"{entry.seconds:.1f}",
                _what(entry),
            )
            for entry in reversed(entries)
        ],
        right=("SECONDS",),
    )
    if len(entries) > 1:
        out.next("techsapo changes diff")


@app.command()
def diff(
    apply: Annotated[
        str | None,
        typer.Argument(
            metavar="[@N]",
            help="An apply from `techsapo changes list`; default: the previous one.",
            show_default=False,
        ),
    ] = None,
    *,
    place: SpecFile,
    out: JsonQuietOutput,
) -> None:
    """Show what changed between an earlier apply and now: files and services. Secrets are never shown.

    Examples:

      techsapo changes diff

      techsapo changes diff @2
    """
    differences = difference(history_beside(place.stack_file()), apply)
    if out.as_json:
        out.json(
            {
                "since": differences.since.id,
                "now": differences.now.id,
                "summary": difference_summary(differences),
                "files": differences.files,
                "services": differences.services,
            }
        )
        return
    if not differences.files and not differences.services:
        out.data(msg("nothing differs from apply @{id}", id=differences.since.id))
        return
    for change in sorted(differences.files, key=lambda change: change.kind != "removed"):
        out.data(f"{change.kind:8} {change.path}")
        out.data(change.diff.rstrip("\n"))
    if differences.services:
        out.data(msg("services:"))
        width = max(len(s.service) for s in differences.services)
        for service in differences.services:
            out.data(
                msg("  {service:{width}}  {what}", width=width, service=service.service, what=service.what)
            )
    out.data(difference_line(differences))
    out.next(f"techsapo rollback @{differences.since.id}")


@app.command()
def drift(*, place: SpecFile, out: JsonQuietOutput) -> None:
    """Show what has changed since the last apply: files edited by hand, processes changed outside techsapo.

    The exit code is 0 when everything is as the last good apply left it, else 100.

    Examples:

      techsapo changes drift

      techsapo changes drift --json
    """
    report = find_drift(history_beside(place.stack_file()))
    if out.as_json:
        out.json(
            {
                "against": report.against.id,
                "drifted": bool(report.findings),
                "findings": report.findings,
            }
        )
    elif not report.findings:
        out.data(msg("unchanged since apply @{id}", id=report.against.id))
    else:
        out.table(("KIND", "NAME", "WHAT"), [(f.kind, f.name or "-", f.what) for f in report.findings])
        if any(f.what == EDITED for f in report.findings):
            out.say(
                msg("`techsapo changes diff` shows the manual edits; `techsapo up --force` overwrites them")
            )
        out.next("techsapo plan")
    if report.findings:
        raise typer.Exit(CHANGES_PENDING)


def _what(entry: LedgerEntry) -> str:
    if entry.reason:
        back = msg(" (went back to apply @{id})", id=entry.back_to) if entry.back_to is not None else ""
        return entry.reason + back
    by_action: dict[str, list[str]] = {}
    for step in entry.steps:
        by_action.setdefault(step.action, []).append(step.service)
    parts = [msg("back to apply @{id}", id=entry.restores)] if entry.restores is not None else []
    parts += [describe_files(entry.files)] if entry.files else []
    parts += [
        msg("{action} {services}", action=action_word(action), services=joined(", ", names))
        if len(names) <= 3
        else msg("{action} {count} services", action=action_word(action), count=len(names))
        for action, names in by_action.items()
    ]
    return joined("; ", parts) or msg("no change")


def _json(entry: LedgerEntry) -> dict[str, Any]:
    files = [{"path": path, "kind": kind} for path, kind in entry.files]
    return {**document(entry, "state", "identity"), "files": files}


def rollback(
    apply: Annotated[
        str | None,
        typer.Argument(
            metavar="[@N]",
            help="An apply from `techsapo changes list`; default: the last good one before the current one.",
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

    A rollback needs neither the spec nor the templates of that time, and is recorded as a new apply. After
    an interrupted apply, a rollback goes back to the last good apply. Fix the spec before the next `up`.

    Examples:

      techsapo rollback

      techsapo rollback @2 --yes
    """

    def approve(target: LedgerEntry, plan: StackPlan) -> bool:
        if yes:
            return True
        show_plan(plan, out)
        return confirm(
            msg(
                "go back to apply @{id} of {time:%Y-%m-%d %H:%M:%S}?",
                id=target.id,
                time=target.time.astimezone(),
            ),
            yes=False,
        )

    report = go_back(
        history_beside(place.stack_file(), seconds=timeout),
        apply,
        Progress(out),
        approve=approve,
        wait=wait,
        force=force,
    )
    if report is None:
        out.say(msg("nothing was changed; to go back without being asked, add --yes"))
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
        out.say(msg("everything is already as in apply @{id}", id=report.target.id))
        return
    out.say(msg("back to apply @{id}", id=report.target.id))
    out.next("techsapo plan")
