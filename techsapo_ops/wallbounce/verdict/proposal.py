"""A new calibration from labels, beside the current one on labels that neither saw; and shares of rights."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import fsum, sqrt
from statistics import fmean

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.evaluation.statistics import wilson
from techsapo_ops.wallbounce.verdict.calibration import Calibration
from techsapo_ops.wallbounce.verdict.learning import estimate, learn, usable
from techsapo_ops.wallbounce.verdict.record import Labelled, PanelRecord
from techsapo_ops.wallbounce.verdict.verdict import Estimate, Z

FEWEST_NEW = 10
FOLDS = 5
SEED = 1
"""Of the folds: the same labels give the same proposal."""
FEWEST_OF_BOTH = 5
"""Right and wrong labels each, from which a variance can be taken from them."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A calibration, and how it does on held-out labels beside the current one."""

    calibration: Calibration
    new: int
    proposed: float
    """Mean squared gap between chance and outcome (Brier 1950) on new labels that it did not see."""
    current: float
    """The same of the current calibration."""
    right: Estimate
    """The share of answers that are right."""

    @property
    def worse(self) -> bool:
        """Whether the current calibration does better on what neither has seen."""
        return self.proposed > self.current


def newer(labels: Iterable[Labelled], current: Calibration) -> list[Labelled]:
    """The usable ones of `labels` that are newer than `current`."""
    until = current.until
    return [label for label in labels if usable(label.record) and (until is None or label.at > until)]


def propose(
    labels: Sequence[Labelled],
    current: Calibration,
    now: datetime,
    unlabelled: Sequence[PanelRecord] = (),
) -> Proposal:
    """What `labels` teach at `now`, compared on those that are newer than `current`.

    Raises OpsError where fewer than ten labels are new.
    """
    new = newer(labels, current)
    known = [label for label in labels if usable(label.record)]
    old = [label for label in known if current.until is not None and label.at <= current.until]
    if len(new) < FEWEST_NEW:
        raise OpsError(
            msg(
                "only {new} labels are new since the current calibration; {fewest} are needed",
                new=len(new),
                fewest=FEWEST_NEW,
            ),
            msg("label more answers; declined ones count, too"),
        )
    random.Random(SEED).shuffle(new)  # noqa: S311 - folds
    unseen: list[tuple[Labelled, float]] = []
    for fold in range(FOLDS):
        held = new[fold::FOLDS]
        rest = [label for place, label in enumerate(new) if place % FOLDS != fold]
        fitted = learn([*old, *rest], now, unlabelled)
        unseen += [(label, estimate(label.record, fitted).value) for label in held]
    made = learn(known, now, unlabelled)
    return Proposal(
        made,
        len(new),
        _brier(unseen),
        _brier([(label, estimate(label.record, current).value) for label, _ in unseen]),
        share_right(
            [(label.right, chance) for label, chance in unseen],
            [estimate(record, made).value for record in unlabelled if usable(record)],
        ),
    )


def _brier(judged: Sequence[tuple[Labelled, float]]) -> float:
    weights = fsum(label.weight for label, _ in judged)
    return fsum(label.weight * (chance - label.right) ** 2 for label, chance in judged) / weights


def share_right(labelled: Sequence[tuple[float, float]], unlabelled: Sequence[float]) -> Estimate:
    """The share of right answers, from labels with the chance that was said of each, and more such chances.

    By prediction-powered inference, tuned (Angelopoulos et al. 2023, arXiv 2311.01453), where that narrows
    the interval; otherwise Wilson's interval of the labels alone.
    """
    count, rights = len(labelled), [right for right, _ in labelled]
    plain = estimate_of(fsum(rights), count)
    if min(fsum(rights), count - fsum(rights)) < FEWEST_OF_BOTH or len(unlabelled) < count:
        return plain
    said = [chance for _, chance in labelled]
    variance = _covariance([*said, *unlabelled], [*said, *unlabelled])
    if variance <= 0:
        return plain
    trust = min(1.0, max(0.0, _covariance(rights, said) / ((1 + count / len(unlabelled)) * variance)))
    value = fmean(rights) + trust * (fmean(unlabelled) - fmean(said))
    left = [right - trust * chance for right, chance in labelled]
    error = sqrt(
        _covariance(left, left) / count + trust**2 * _covariance(unlabelled, unlabelled) / len(unlabelled)
    )
    low, high = max(0.0, value - Z * error), min(1.0, value + Z * error)
    return Estimate(value, low, high, count) if high - low < plain.high - plain.low else plain


def estimate_of(right: float, count: int) -> Estimate:
    """The share `right` of `count` with Wilson's interval; from 0 to 1 where nothing was counted."""
    share = wilson(right, count)
    return Estimate(share.share, share.low, share.high, count) if share else Estimate(0.5, 0.0, 1.0, 0)


def _covariance(xs: Sequence[float], ys: Sequence[float]) -> float:
    x, y = fmean(xs), fmean(ys)
    return fsum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / max(1, len(xs) - 1)
