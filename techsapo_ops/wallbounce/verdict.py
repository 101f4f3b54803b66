"""From answers to a provisional verdict.

`consensus` is the mean cosine of character 2- and 3-grams over all pairs of answers: likeness of wording,
which is not yet agreement in substance. `confidence` is the geometric mean of the consensus and of what
the providers say of themselves (0.7 for one that says nothing), `sqrt(consensus * mean self-confidence)`,
capped by the number of answers. None of it is calibrated against labelled outcomes.
"""

from __future__ import annotations

from math import sqrt

from techsapo_ops.wallbounce.model import Answer, Verdict

SILENT = 0.7
"""Self-confidence of a provider that states none."""
CAPS = {1: 0.5, 2: 0.92, 3: 0.95}
"""Highest confidence by number of answers; 0.97 for more."""


def settle(
    answers: tuple[Answer, ...],
    similarity: dict[tuple[int, int], float],
    *,
    confidence: float,
    consensus: float,
) -> Verdict:
    """Choose an answer and weigh it against the thresholds `confidence` and `consensus` (each 0 to 1).

    The answer closest to all others is chosen, then the one surest of itself, then the first.
    `similarity` holds the likeness of every pair of `answers`, which must not be empty.
    """
    stated = [SILENT if a.self_confidence is None else a.self_confidence for a in answers]
    closeness = [
        sum(value for pair, value in similarity.items() if index in pair) for index in range(len(answers))
    ]
    chosen = max(range(len(answers)), key=lambda i: (closeness[i], stated[i], -i))
    own = sum(stated) / len(stated)
    if len(answers) == 1:
        return Verdict(chosen, 0.0, min(CAPS[1], own), accepted=False, notes=("sole_answer",))
    agreed = sum(similarity.values()) / len(similarity)
    reached = min(CAPS.get(len(answers), 0.97), sqrt(agreed * own))
    notes = []
    if agreed < consensus:
        notes.append("consensus_below_threshold")
    if reached < confidence:
        notes.append("confidence_below_threshold")
    return Verdict(chosen, agreed, reached, accepted=not notes, notes=tuple(notes))
