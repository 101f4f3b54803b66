"""`techsapo answers calibrate`."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from techsapo_ops.adapters.files import read_text, write_atomic
from techsapo_ops.cli.options import QuietOutput
from techsapo_ops.cli.output import Output
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.verdict.calibration import Calibration, Fit, by_set, dumps, read_labels
from techsapo_ops.wallbounce.verdict.fitting import (
    FIGURES,
    Interval,
    Judged,
    Row,
    bootstrap,
    fit_capped,
    held_out,
    reported,
)
from techsapo_ops.wallbounce.verdict.verdict import CONTRADICTED_CAP, PROVISIONAL, cap_of

if TYPE_CHECKING:
    from techsapo_ops.wallbounce.verdict.verdict import Weights

_FEWEST = 50
_SEED = 1
"""Of the folds and the bootstrap: the same labels give the same weights."""
_NEGATIVE = -0.005
"""A weight above this is zero when it is shown: A or G was the same in all labels."""
_ENOUGH = 2000
"""Labels from which an ECE of .03 says something: of 500, even a perfect predictor misses it mostly."""


def calibrate(
    labels: Annotated[Path, typer.Argument(help="File of labels, one answer per line.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write the weights.")] = Path(
        "calibration.json"
    ),
    *,
    out: QuietOutput,
) -> None:
    """Fit the confidence weights for each tier and set of models, and show how well they predict.

    Each line of the file is the `evidence` of an answer plus `correct`. The weights apply only to the sets of
    models in the labels; all other sets keep the provisional weights. The figures come from labels that were
    not used to fit the weights.

    Examples:

      techsapo ask --json "…" | jq -c '.evidence + {correct: true}' >> labels.jsonl

      techsapo answers calibrate labels.jsonl --output calibration.json
    """
    read = read_labels(read_text(labels, what="labels").splitlines(), str(labels))
    fits, reports = [], []
    for (tier, models), group_ in by_set(read).items():
        name = msg("{tier} with {models}", tier=tier, models=", ".join(models))
        rows = [Row(x.agreement, x.grade, x.correct, x.contradicted) for x in group_]
        draw = random.Random(_SEED)  # noqa: S311 - folds
        judged = held_out(rows, len(models), draw) if len(rows) >= _FEWEST else None
        if judged is None:
            out.warn(
                msg("{name}: {too_few}", name=name, too_few=_too_few(len(rows), {x.correct for x in group_}))
            )
            continue
        figures = _figures(judged, rows, len(models))
        weights = fit_capped(rows, len(models))
        fits.append(Fit(tier, models, weights, len(rows), {k: v["fitted"].value for k, v in figures.items()}))
        reports.append(_FitReport(name, len(models), len(rows), weights, figures))
        if min(weights.agreement, weights.grade) < _NEGATIVE:
            out.warn(
                msg(
                    "{name}: a weight is negative; either agreement or grades are misleading here, or there "
                    "are too few labels",
                    name=name,
                )
            )
        if len(rows) < _ENOUGH:
            out.warn(
                msg(
                    "{name}: {count} labels; below {enough} the ECE is only a rough figure",
                    name=name,
                    count=len(rows),
                    enough=_ENOUGH,
                )
            )
    if not fits:
        raise OpsError(
            msg("no set of models has enough labels to fit"),
            msg("collect at least {fewest} labels for each set of models", fewest=_FEWEST),
        )
    write_atomic(output, dumps(Calibration(tuple(fits))).encode())
    _show(out, reports)
    out.say(
        msg("set wallbounce.calibration: {output} in techsapo.yaml, then run `techsapo up`", output=output)
    )


def _too_few(count: int, outcomes: set[bool]) -> str:
    if len(outcomes) == 1:
        return msg(
            "all {count} labels are {which}, so there is nothing to learn",
            count=count,
            which=msg("right") if True in outcomes else msg("wrong"),
        )
    return msg(
        "only {count} labels; at least {fewest} are needed, with enough right and enough wrong ones",
        count=count,
        fewest=_FEWEST,
    )


def _figures(judged: list[Judged], rows: list[Row], count: int) -> dict[str, dict[str, Interval]]:
    """By figure and column: held-out fit, provisional weights, and the bare mean of scores."""
    columns = {
        "fitted": judged,
        "provisional": [(reported(PROVISIONAL, row, count), row.correct) for row in rows],
        "mean_score": [(row.grade, row.correct) for row in rows],
    }
    return {
        name: {
            column: bootstrap(values, figure, random.Random(_SEED))  # noqa: S311 - resampling
            for column, values in columns.items()
        }
        for name, figure in FIGURES.items()
    }


@dataclass(frozen=True)
class _FitReport:
    """What is said about one tier and set of models."""

    name: str
    voices: int
    labels: int
    weights: Weights
    figures: dict[str, dict[str, Interval]]


def _show(out: Output, reports: list[_FitReport]) -> None:
    for place, each in enumerate(reports):
        w = each.weights
        a, g = (round(weight, 2) + 0.0 for weight in (w.agreement, w.grade))  # no -0.00
        out.data(("\n" if place else "") + msg("{name}: {labels} labels", name=each.name, labels=each.labels))
        out.data(
            msg(
                "confidence   sigmoid({intercept:+.2f} {a:+.2f} A {g:+.2f} G)",
                intercept=w.intercept,
                a=a,
                g=g,
            )
        )
        for title, line in zip((msg("at most"), ""), _ceilings(each), strict=True):
            out.data(msg("{title:<12} {line}", title=title, line=line))
        rows = [
            [figure, *(f"{i.value:.3f} [{i.low:.3f}, {i.high:.3f}]" for i in columns.values())]
            for figure, columns in each.figures.items()
        ]
        out.table(("held out", "fitted", "provisional", "mean score"), rows)


def _ceilings(report: _FitReport) -> list[str]:
    """What holds the confidence down, and whether the labels raised it."""
    lines = []
    for what, cap, raised in (
        (msg("{count} answers", count=report.voices), cap_of(report.voices), report.weights.ceilings.count),
        (msg("a contradicted critical claim"), CONTRADICTED_CAP, report.weights.ceilings.contradicted),
    ):
        how = msg("raised by the labels from {cap:.2f}", cap=cap) if raised else msg("the default cap")
        lines.append(msg("{held:.3f} for {what}: {how}", held=raised or cap, what=what, how=how))
    return lines
