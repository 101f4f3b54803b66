"""`techsapo answers calibrate`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from techsapo_ops.adapters.files import read_text, write_atomic
from techsapo_ops.cli.options import QuietOutput, SpecChoice, SpecPlace, YesOption
from techsapo_ops.cli.output import Output, confirm, interactive
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.verdict.calibration import Calibration, dumps, loads
from techsapo_ops.wallbounce.verdict.proposal import Proposal, propose, read_labels, standings
from techsapo_ops.wallbounce.verdict.verdict import Estimate

if TYPE_CHECKING:
    from techsapo_ops.apply.plan import StackPlan

FEW = 30
"""Labels up to which no chance can be borne out as .9 or more."""


def calibrate(
    labels: Annotated[Path, typer.Argument(help="File of labels, one JSON object per line.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The calibration file; by default the spec's.", show_default=False
        ),
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Put it into use, as `techsapo up app` does.")
    ] = False,
    *,
    place: SpecPlace,
    yes: YesOption = False,
    out: QuietOutput,
) -> None:
    """Propose new weights of the confidence from labels, and compare them with the current ones.

    The comparison uses only labels that neither has seen. With fewer than ten new labels, or if the proposal
    does worse on them, nothing is written and the exit code is 1. With --apply the app is restarted with the
    new weights; `techsapo rollback` brings the earlier ones back.

    Examples:

      techsapo answers calibrate labels.jsonl --output calibration.json

      techsapo answers calibrate labels.jsonl --apply
    """
    if apply and output is not None:
        raise OpsError(
            msg("--apply writes where wallbounce.calibration says"), msg("leave out --output"), exit_code=2
        )
    file = output or _named(place)
    read = read_labels(read_text(labels, what="labels").splitlines(), str(labels))
    before = read_text(file, what=msg("calibration")) if file.exists() else None
    current = loads(before, str(file)) if before is not None else Calibration()
    proposal = propose(read, current, datetime.now(UTC))
    _show(out, proposal, current)
    out.table(
        (msg("model"), msg("dissents"), msg("right")),
        [(each.model, _share(each.dissents), _share(each.right)) for each in standings(read)],
    )
    if proposal.worse:
        raise OpsError(
            msg("the proposal does worse on held-out labels than the current weights: nothing was written"),
            msg("collect more labels"),
        )
    write_atomic(file, dumps(proposal.calibration).encode())
    if not apply:
        out.say(
            msg("set wallbounce.calibration: {output} in techsapo.yaml, then run `techsapo up`", output=file)
        )
        return
    _apply(file, before, place, out, yes=yes)


def _named(place: SpecChoice) -> Path:
    from techsapo_ops.services.app.rendered_spec import calibration_file

    project = place.open()
    named = project.spec.wallbounce.calibration
    if named is None:
        raise OpsError(
            msg("the spec names no calibration file"),
            msg("set `wallbounce.calibration: calibration.json`, or use --output"),
        )
    return calibration_file(named, project.layout)


def _apply(file: Path, before: str | None, place: SpecChoice, out: Output, *, yes: bool) -> None:
    """Apply it. Where that fails or is declined, the earlier file is put back."""
    done = False
    try:
        done = _up(place, out, yes=yes)
    finally:
        if not done and before is None:
            file.unlink(missing_ok=True)
        elif not done and before is not None:
            write_atomic(file, before.encode())
    if not done:
        raise typer.Exit(1)


def _up(place: SpecChoice, out: Output, *, yes: bool) -> bool:
    from techsapo_ops.apply.up import up
    from techsapo_ops.cli.apply.plan_view import Progress, show_failures, show_plan
    from techsapo_ops.cli.open_stack import open_stack
    from techsapo_ops.services.app.kind import App

    def approve(plan: StackPlan) -> bool:
        if not yes and plan.changes and plan.running and interactive():
            show_plan(plan, out)
            return confirm(msg("go ahead?"), yes=False)
        return True

    stack = open_stack(place.open(), tell=out.say)
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
        out.data(msg("current: the provisional weights, which no label supports"))
    if made.labels <= FEW:
        out.data(msg("with so few labels nothing can be called 0.9 or surer"))


def estimate_text(estimate: Estimate) -> str:
    """`0.82, 41 labels, 0.70–0.90`."""
    return msg(
        "{value:.2f}, {labels} labels, {low:.2f}–{high:.2f}",
        value=estimate.value,
        labels=estimate.labels,
        low=estimate.low,
        high=estimate.high,
    )


def _share(share: Estimate) -> str:
    return f"{share.value:.0%}" if share.labels else msg("unknown")
