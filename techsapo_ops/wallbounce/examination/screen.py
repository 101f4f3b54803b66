"""The disagreement screen: wording so far apart that two answers can't mean the same.

It only ever *declares disagreement*. Likeness says nothing: a contradiction that copies the wording reaches a
cosine of .83 while a true Japanese paraphrase has .53.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import combinations

from techsapo_ops.wallbounce.answers import Answer
from techsapo_ops.wallbounce.examination.similarity import cosine, fold, grams
from techsapo_ops.wallbounce.language import language_of
from techsapo_ops.wallbounce.verdict.commands import commands_of

COSINE = 0.25
JACCARD = 0.15
SCREENED = 20_000
"""Characters of an answer that are looked at: the n-grams of more would hold up the event loop."""

_PATH = re.compile(r"(?<![\w/])/[\w.-]+(?:/[\w.*-]+)*")
_NUMBER = re.compile(r"\d+(?:\.\d+)?%?")


def marks(answer: Answer) -> frozenset[str]:
    """What is the same in every language: the first words of commands, paths and numbers."""
    folded = fold(answer.text[:SCREENED]).casefold()
    found = {f"command {' '.join(c.casefold().split()[:2])}" for c in commands_of(answer)}
    found.update(f"path {p}" for p in _PATH.findall(folded))
    found.update(f"number {n}" for n in _NUMBER.findall(folded))
    return frozenset(found)


def jaccard(a: frozenset[str], b: frozenset[str]) -> float | None:
    """Shared part of two sets, 0 to 1; None where both are empty, which says nothing."""
    union = len(a | b)
    return len(a & b) / union if union else None


def disagree(likeness: float, shared: float | None) -> bool:
    """Whether wording (cosine) and marks (Jaccard) are so far apart that agreement is out of the question."""
    return likeness < COSINE and shared is not None and shared < JACCARD


def screen(answers: Sequence[Answer], first: int = 0) -> frozenset[tuple[int, int]]:
    """Pairs of indices (lower first) that disagree by wording; only pairs with one at or beyond `first`.

    Between two languages the wording differs whatever is meant, so that such pairs are never declared. The
    n-grams are the dear part: they are counted only where the marks have not already settled the matter.
    """
    texts = [a.text[:SCREENED] for a in answers]
    marked = [marks(a) for a in answers]
    tongues = [language_of(text) for text in texts]
    counted = cache(lambda index: grams(texts[index]))

    def apart(i: int, j: int) -> bool:
        shared = jaccard(marked[i], marked[j])
        if tongues[i] != tongues[j] or not disagree(0.0, shared):
            return False
        return disagree(cosine(counted(i), counted(j)), shared)

    pairs = combinations(range(len(answers)), 2)
    return frozenset((i, j) for i, j in pairs if j >= first and apart(i, j))
