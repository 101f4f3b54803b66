"""What confidence is worth on seeds and settings of the simulator that its weights never saw."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from techsapo_ops.wallbounce.verdict.fitting import auroc, brier, ece
from tests.bench.row import Row

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "wallbounce"))

LARGEST_ECE, LEAST_AUROC = 0.03, 0.92
BASELINE = "mean score"
"""The mean of the peers' scores, taken for a confidence as it is."""


def run() -> Iterator[Row]:
    """Print every way of scoring, then yield the fitted one beside the raw mean of scores."""
    from heldout import experiment

    found = experiment()
    fitted, mean = found.columns["fitted"], found.columns[BASELINE]
    print(f"{found.fitted} labels fitted, {len(fitted)} held out, {found.right:.3f} of them right")
    for name, column in found.columns.items():
        print(f"{name:12} ECE {ece(column):.4f}  AUROC {auroc(column):.4f}  Brier {brier(column):.4f}")
    yield _row("calibration error (ECE)", ece(fitted), ece(mean), LARGEST_ECE)
    yield _row("pairs ranked wrongly", 1 - auroc(fitted), 1 - auroc(mean), 1 - LEAST_AUROC)
    yield Row("Brier", brier(fitted), brier(mean), 0.999, "", digits=4)
    for name in ("fixed caps", "provisional"):
        other = found.columns[name]
        yield Row(f"ECE, {name}", ece(fitted), ece(other), 0.999, "", digits=4)
        yield Row(f"ranked wrongly, {name}", 1 - auroc(fitted), 1 - auroc(other), 0.999, "", digits=4)
        yield Row(f"Brier, {name}", brier(fitted), brier(other), 0.999, "", digits=4)


def _row(name: str, value: float, baseline: float, most: float) -> Row:
    return Row(name, value, baseline, most / baseline, "", digits=4)
