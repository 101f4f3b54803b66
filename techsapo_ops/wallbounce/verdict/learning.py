"""Learns from labels: a Bayesian logistic regression around the provisional weights, in plain Python.

The weights start where the provisional ones are, tiers, families and models share what is learnt of one, and
old labels fade. The posterior is that of Laplace: its mode by Newton's method, its spread by the curvature
there (MacKay 1992). A dozen parameters and some hundred labels need no numerical library.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain

from techsapo_ops.wallbounce.verdict.calibration import APART, BASE, Calibration, groups_of
from techsapo_ops.wallbounce.verdict.record import Labelled, PanelRecord
from techsapo_ops.wallbounce.verdict.verdict import (
    PROVISIONAL,
    Estimate,
    Evidence,
    Weights,
    features,
    sigmoid,
)
from techsapo_ops.wallbounce.verdict.voices import Outcome, rates

HALF_LIFE = timedelta(days=180)
STEPS, TOLERANCE = 30, 1e-7
LONGEST_STEP = 2.0
MOST_VERSIONS = 8
"""Versions of one model that are learnt of apart: a server that names another one each time gets no more."""
Row = tuple[tuple[tuple[int, float], ...], float, float]
"""The parameters that an answer meets with their factors, how right it was, and how much it counts."""


def evidence_of(record: PanelRecord) -> Evidence:
    """What is left of the evidence of a verdict; of consensus nothing."""
    relations = tuple(member.agrees for member in record.answers)
    return Evidence(
        count=len(relations),
        chosen=record.chosen,
        cluster=tuple(i for i, agrees in enumerate(relations) if agrees),
        consensus=None,
        grade=record.grade,
        relations=relations,
        contradicted=record.contradicted,
        scores=tuple(record.scores().items()),
    )


def estimate(record: PanelRecord, calibration: Calibration) -> Estimate:
    """The chance that the answer of `record` is right, as `calibration` would show it."""
    evidence = evidence_of(record)
    weights = calibration.weights(record.tier, record.models, record.chosen, evidence.stood)
    return estimated(evidence, weights)


def estimated(evidence: Evidence, weights: Weights) -> Estimate:
    """The chance that the chosen answer is right; the caps on what does harm are not in it."""
    weighed = evidence.weighed(weights.worth)
    return weights.estimate(weighed, weights.capped(weighed))


def learn(labelled: Iterable[Labelled], now: datetime, unlabelled: Sequence[PanelRecord] = ()) -> Calibration:
    """What `labelled` teaches, as seen at `now`.

    Records without a label teach who agrees with whom, weighed by the chance that each answer is right.
    Together they count at most as much as the labels. Verdicts of one answer, or without all grades, are
    left out: agreement and grade are not what the weights hold for there.
    """
    labels = [label for label in labelled if usable(label.record)]
    if not labels:
        return Calibration()
    others = [record for record in unlabelled if usable(record)]
    records = _with_common_versions([*(label.record for label in labels), *others])
    labels = [replace(label, record=record) for label, record in zip(labels, records, strict=False)]
    others = records[len(labels) :]
    counted = [label.weight * 0.5 ** (max(now - label.at, timedelta()) / HALF_LIFE) for label in labels]
    heard: list[Outcome] = [(x.record, x.right, w) for x, w in zip(labels, counted, strict=True)]
    first = _fitted(labels, counted, heard)
    if not others:
        return first
    share = min(1.0, sum(counted) / len(others))
    return _fitted(labels, counted, [*heard, *((r, estimate(r, first).value, share) for r in others)])


def _with_common_versions(records: Sequence[PanelRecord]) -> list[PanelRecord]:
    """`records` with the MOST_VERSIONS most frequent versions of each model; the others are the model's."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for member in chain.from_iterable(record.answers for record in records):
        counts[member.model][member.version] += 1
    common = {(m, v) for m, versions in counts.items() for v, _ in versions.most_common(MOST_VERSIONS)}
    return [
        replace(
            record,
            answers=tuple(
                each if (each.model, each.version) in common else replace(each, version="")
                for each in record.answers
            ),
        )
        for record in records
    ]


def usable(record: PanelRecord) -> bool:
    """Whether something can be learnt from `record`."""
    return len(record.answers) > 1 and record.complete


def _fitted(labels: Sequence[Labelled], counted: Sequence[float], heard: Iterable[Outcome]) -> Calibration:
    known = Calibration(voices=rates(heard))
    groups = sorted(set(chain.from_iterable(map(_groups, labels))))
    place = {group: len(BASE) + n for n, group in enumerate(groups)}
    rows: list[Row] = []
    for label, weight in zip(labels, counted, strict=True):
        record = label.record
        evidence = evidence_of(record).weighed(known.worth(record.models, record.chosen))
        factors = list(enumerate(features(evidence)))
        factors += [(place[group], share) for group, share in _groups(label).items() if share]
        rows.append((tuple(factors), label.right, weight))
    mean, covariance = posterior(rows, *_prior(groups))
    return Calibration(
        labels=len(labels),
        until=max(label.at for label in labels),
        contradicted=sum(label.record.contradicted for label in labels),
        groups=tuple(groups),
        mean=tuple(mean),
        covariance=tuple(map(tuple, covariance)),
        voices=known.voices,
    )


def _groups(label: Labelled) -> dict[str, float]:
    record = label.record
    relations = [member.agrees for member in record.answers]
    return groups_of(record.tier, record.models, record.chosen, relations)


def _prior(groups: Sequence[str]) -> tuple[list[float], list[list[float]]]:
    """Mean and precision of the parameters before any label."""
    size = len(BASE) + len(groups)
    base = inverse(PROVISIONAL.covariance)
    precision = [
        [base[i][j] if i < len(base) and j < len(base) else 0.0 for j in range(size)] for i in range(size)
    ]
    for place, group in enumerate(groups, len(BASE)):
        precision[place][place] = APART[group.partition(" ")[0]] ** -2
    return [*PROVISIONAL.mean, *[0.0] * len(groups)], precision


def posterior(
    rows: Sequence[Row], prior: Sequence[float], precision: Sequence[Sequence[float]]
) -> tuple[list[float], list[list[float]]]:
    """Mode and covariance at the mode of a logistic regression with a normal prior, by Newton's method."""
    mode = list(prior)
    hessian: list[list[float]] = []
    for _ in range(STEPS):
        off = [a - b for a, b in zip(mode, prior, strict=True)]
        gradient = [-sum(p * d for p, d in zip(line, off, strict=True)) for line in precision]
        hessian = [list(line) for line in precision]
        for factors, right, weight in rows:
            chance = sigmoid(sum(mode[i] * factor for i, factor in factors))
            missed, curved = weight * (right - chance), weight * chance * (1 - chance)
            for i, a in factors:
                gradient[i] += missed * a
                for j, b in factors:
                    hessian[i][j] += curved * a * b
        step = [sum(a * b for a, b in zip(line, gradient, strict=True)) for line in inverse(hessian)]
        longest = max(map(abs, step))
        scale = min(1.0, LONGEST_STEP / longest) if longest else 1.0
        mode = [a + scale * b for a, b in zip(mode, step, strict=True)]
        if longest < TOLERANCE:
            break
    return mode, inverse(hessian)


def inverse(matrix: Sequence[Sequence[float]]) -> list[list[float]]:
    """The inverse, by Gauss-Jordan elimination with pivoting. The matrix must not be singular."""
    size = len(matrix)
    rows = [[*line, *(float(i == j) for j in range(size))] for i, line in enumerate(matrix)]
    for column in range(size):
        pivot = max(range(column, size), key=lambda r: abs(rows[r][column]))
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [value / rows[column][column] for value in rows[column]]
        for other in range(size):
            if other != column and (factor := rows[other][column]):
                rows[other] = [a - factor * b for a, b in zip(rows[other], rows[column], strict=True)]
    return [line[size:] for line in rows]
