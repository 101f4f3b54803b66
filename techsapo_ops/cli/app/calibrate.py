"""`techsapo answers calibrate`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from techsapo_ops.adapters.files import read_text, write_atomic
from techsapo_ops.cli.app.providers_view import record_line
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import QuietOutput, SpecPlace, YesOption
from techsapo_ops.cli.output import Output, confirm, interactive
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.app.rendered_spec import calibration_file
from techsapo_ops.wallbounce.feedback.judged import judged, labelled
from techsapo_ops.wallbounce.feedback.track_record import TrackRecord, track_records
from techsapo_ops.wallbounce.verdict.calibration import Calibration, dumps
from techsapo_ops.wallbounce.verdict.proposal import Proposal, propose
from techsapo_ops.wallbounce.verdict.record import Labelled, PanelRecord
from techsapo_ops.wallbounce.verdict.verdict import Estimate
from techsapo_ops.watch.costs import answered_of
from techsapo_ops.watch.feedback import current_weights

if TYPE_CHECKING:
    from techsapo_ops.apply.plan import StackPlan
    from techsapo_ops.cli.project import Project
    from techsapo_ops.stack.stack import Stack

DAYS = 720
"""Days whose labels count: after four half-lives little is left of one."""
FEW = 30
"""Labels up to which no chance can be borne out as .9 or more."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What the stack has stored of its answers."""

    labels: tuple[Labelled, ...]
    unlabelled: tuple[PanelRecord, ...]
    models: tuple[TrackRecord, ...]


def calibrate(
    apply: Annotated[
        bool, typer.Option("--apply", help="Put the proposed weights into use, as `techsapo up app` does.")
    ] = False,
    *,
    place: SpecPlace,
    yes: YesOption = False,
    out: QuietOutput,
) -> None:
    """Propose new weights for the confidence, learnt from stored labels, and compare them with the current
    weights.

    The comparison uses only labels from which neither set of weights was learnt. The exit code is 1 if there
    are fewer than ten new labels, or if the proposed weights do worse. Without --apply, nothing is written.
    With --apply, the app restarts with the new weights; `techsapo rollback` restores the earlier weights and
    their file.

    Examples:

      techsapo answers calibrate

      techsapo answers calibrate --apply
    """
    project = place.open()
    stack = open_stack(project, tell=out.say)
    file = _named(project)
    before = read_text(file, what=msg("calibration")) if file is not None and file.exists() else None
    current = current_weights(stack)
    known = _known(stack)
    proposal = propose(known.labels, current, datetime.now(UTC), known.unlabelled)
    _show(out, proposal, current)
    for each in known.models:
        out.data(record_line(each.model, each))
    if proposal.worse:
        raise OpsError(
            msg("the proposal does worse on held-out labels than the current weights: nothing was written"),
            msg("collect more labels"),
        )
    if file is None:
        raise OpsError(
            msg("the spec names no calibration file"), msg("set `wallbounce.calibration: calibration.json`")
        )
    if not apply:
        out.next("techsapo answers calibrate --apply")
        return
    write_atomic(file, dumps(proposal.calibration).encode())
    _apply(file, before, stack, out, yes=yes)


def _known(stack: Stack) -> _Known:
    analyses = judged(answered_of(stack, DAYS))
    rest = (each.record for each in analyses if not each.simulated and each.right is None)
    return _Known(labelled(analyses), tuple(rest), track_records(analyses))


def _named(project: Project) -> Path | None:
    named = project.spec.wallbounce.calibration
    return calibration_file(named, project.layout) if named is not None else None


def _apply(file: Path, before: str | None, stack: Stack, out: Output, *, yes: bool) -> None:
    """Apply it. Where that fails or is declined, the earlier file is put back."""
    done = False
    try:
        done = _up(stack, out, yes=yes)
    finally:
        if not done and before is None:
            file.unlink(missing_ok=True)
        elif not done and before is not None:
            write_atomic(file, before.encode())
    if not done:
        raise typer.Exit(1)


def _up(stack: Stack, out: Output, *, yes: bool) -> bool:
    from techsapo_ops.apply.up import up
    from techsapo_ops.cli.apply.plan_view import Progress, show_failures, show_plan
    from techsapo_ops.services.app.kind import App

    def approve(plan: StackPlan) -> bool:
        if not yes and plan.changes and plan.running and interactive():
            show_plan(plan, out)
            return confirm(msg("go ahead?"), yes=False)
        return True

    report = up(stack, Progress(out), only=(App.facts.kind,), approve=approve)
    if report is None:
        out.say(msg("nothing was changed"))
        return False
    show_failures(report.outcomes, report.back, out)
    return not report.failures


def _show(out: Output, proposal: Proposal, current: Calibration) -> None:
    made = proposal.calibration
    out.data(msg("{labels} labels, {new} of them new", labels=made.labels, new=proposal.new))
    out.data(msg("right answers: {share}", share=estimate_text(proposal.right)))
    out.table(
        ("", msg("proposed"), msg("current")),
        [(msg("Brier score, held out"), f"{proposal.proposed:.3f}", f"{proposal.current:.3f}")],
    )
    if not current.labels:
        out.data(msg("current: the provisional weights, which are not based on labels"))
    if made.labels <= FEW:
        out.data(msg("with so few labels, the weights can't support a confidence of 0.9 or more"))


def estimate_text(estimate: Estimate) -> str:
    """`0.82, 41 labels, 0.70–0.90`."""
    return msg(
        "{value:.2f}, {labels} labels, {low:.2f}–{high:.2f}",
        value=estimate.value,
        labels=estimate.labels,
        low=estimate.low,
        high=estimate.high,
    )
