"""Which answers people are asked about: those of which a label says most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from techsapo_ops.wallbounce.feedback.judged import Judged
from techsapo_ops.wallbounce.verdict.verdict import Outcome

MOST = 5
"""Answers in one message: more of them nobody reads."""


def pick(analyses: Iterable[Judged], most: int = MOST) -> tuple[Judged, ...]:
    """At most `most` of those that nobody has said anything of, the most informative first.

    A label says most where the confidence is near the threshold, of a declined answer, which nobody tries by
    themselves, and in a tier or of a set of models of which few labels are known. Each pick counts as a label
    for the next one, so that the five differ.
    """
    analyses = tuple(analyses)
    known: Counter[object] = Counter(
        kind for each in analyses if each.right is not None for kind in _kinds(each)
    )
    left = [each for each in analyses if not each.labels]
    picked: list[Judged] = []
    while left and len(picked) < most:
        best = max(left, key=lambda each: (_worth(each, known), each.time))
        left.remove(best)
        picked.append(best)
        known.update(_kinds(best))
    return tuple(picked)


def _worth(each: Judged, known: Counter[object]) -> float:
    """Three parts, 0 to 1 each: how open the verdict was, whether it was declined, how rare its kind is."""
    record = each.record
    near = 1 - abs(record.confidence - record.wanted_confidence)
    rare = sum(1 / (1 + known[kind]) for kind in _kinds(each)) / 2
    return near + (record.outcome is not Outcome.ACCEPTED) + rare


def _kinds(each: Judged) -> tuple[object, object]:
    return each.record.tier, frozenset(each.record.models)
