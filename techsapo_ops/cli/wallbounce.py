"""`techsapo wallbounce`: what there is to do about the orchestrator's confidence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from techsapo_ops.cli.options import JsonOption
from techsapo_ops.errors import OpsError

if TYPE_CHECKING:
    from techsapo_ops.cli.output import Output
    from techsapo_ops.wallbounce.fitting import Interval, Judged
    from techsapo_ops.wallbounce.labels import Label

app = typer.Typer(no_args_is_help=True)

_FEWEST = 50
_ENOUGH = 2000
"""Labels from which an ECE of .03 says something: of 500, even a perfect predictor misses it mostly."""


@app.callback()
def group() -> None:
    """Fit the orchestrator's confidence to labelled outcomes.

    Examples:

      techsapo wallbounce calibrate labels.jsonl --output calibration.json
    """


@app.command()
def calibrate(
    labels: Annotated[Path, typer.Argument(help="LABELS.jsonl; one outcome a line.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write the weights.")] = Path(
        "calibration.json"
    ),
    seed: Annotated[int, typer.Option("--seed", help="Seed of the folds and the bootstrap.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Fit the weights of confidence by tier and set of models, and say how good they are.

    A line is the `evidence` of an answer with `correct` added. Weights hold for exactly the models that the
    labels name; all other sets keep the provisional ones. The figures are of labels that were held out.

    Examples:

      techsapo ask --json "…" | jq -c '.evidence + {correct: true}' >> labels.jsonl

      techsapo wallbounce calibrate labels.jsonl --output calibration.json
    """
    import random

    from techsapo_ops.adapters.files import read_text, write_atomic
    from techsapo_ops.cli.output import Output
    from techsapo_ops.wallbounce.calibration import Calibration, Fit, dumps
    from techsapo_ops.wallbounce.fitting import fit, held_out
    from techsapo_ops.wallbounce.labels import by_set, read_labels

    out = Output(as_json=as_json)
    read = read_labels(read_text(labels, what="labels").splitlines(), str(labels))
    fits, told = [], []
    for (tier, models), group_ in by_set(read).items():
        name = f"{tier} with {', '.join(models)}"
        rows = [(x.agreement, x.grade, x.correct) for x in group_]
        judged = held_out(rows, random.Random(seed)) if len(rows) >= _FEWEST else None  # noqa: S311 - folds
        if judged is None:
            out.warn(f"{name}: {_too_few(len(rows), {x.correct for x in group_})}")
            continue
        figures = _figures(judged, group_, seed)
        weights = fit(rows)
        fits.append(Fit(tier, models, weights, len(rows), {k: v["fitted"].value for k, v in figures.items()}))
        told.append((name, len(rows), weights, figures))
        if weights.agreement < 0 or weights.grade < 0:
            out.warn(f"{name}: a weight is negative; agreement or grades misled here, or the labels are few")
        if len(rows) < _ENOUGH:
            out.warn(f"{name}: {len(rows)} labels; take the ECE for a rough one below {_ENOUGH}")
    if not fits:
        raise OpsError("no set of models has labels enough to fit", f"collect at least {_FEWEST} of each set")
    write_atomic(output, dumps(Calibration(tuple(fits))).encode())
    _show(out, told, as_json=as_json)
    out.next(f"set wallbounce.calibration: {output} in techsapo.yaml, then `techsapo up`")


def _too_few(count: int, outcomes: set[bool]) -> str:
    if len(outcomes) == 1:
        return f"all {count} labels are {'right' if True in outcomes else 'wrong'}; nothing to learn"
    return f"{count} labels; at least {_FEWEST} with enough of each outcome are needed"


def _figures(judged: list[Judged], group_: tuple[Label, ...], seed: int) -> dict[str, dict[str, Interval]]:
    """By figure and column: held-out fit, provisional weights, and the bare mean of scores."""
    import random

    from techsapo_ops.wallbounce.fitting import FIGURES, bootstrap
    from techsapo_ops.wallbounce.verdict import PROVISIONAL

    columns = {
        "fitted": judged,
        "provisional": [(PROVISIONAL.raw(x.agreement, x.grade), x.correct) for x in group_],
        "mean_score": [(x.grade, x.correct) for x in group_],
    }
    return {
        name: {
            column: bootstrap(values, figure, random.Random(seed))  # noqa: S311 - resampling
            for column, values in columns.items()
        }
        for name, figure in FIGURES.items()
    }


def _show(out: Output, told: list[tuple[str, int, Any, Any]], *, as_json: bool) -> None:
    if as_json:
        out.json(
            [
                {
                    "set": name,
                    "labels": count,
                    "weights": {"intercept": w.intercept, "agreement": w.agreement, "grade": w.grade},
                    "figures": {
                        figure: {
                            c: {"value": i.value, "low": i.low, "high": i.high} for c, i in columns.items()
                        }
                        for figure, columns in figures.items()
                    },
                }
                for name, count, w, figures in told
            ]
        )
        return
    for name, count, w, figures in told:
        out.data(f"{name}: {count} labels")
        out.data(
            f"confidence = sigmoid({w.intercept:+.2f} {w.agreement:+.2f} A {w.grade:+.2f} G), then the caps"
        )
        rows = [
            [figure, *(f"{i.value:.3f} [{i.low:.3f}, {i.high:.3f}]" for i in columns.values())]
            for figure, columns in figures.items()
        ]
        out.table(["held out", "fitted", "provisional", "mean score"], rows)
