"""How alike two texts are, by their wording."""

from __future__ import annotations

import unicodedata
from collections import Counter
from itertools import combinations
from itertools import pairwise as pairs
from math import sqrt


def grams(text: str) -> Counter[str]:
    """Character 2- and 3-grams of `text`, in any language, blind to case, width and white space."""
    folded = "".join(unicodedata.normalize("NFKC", text).casefold().split())
    counts = Counter(map("".join, pairs(folded)))
    counts.update(map("".join, zip(folded, folded[1:], folded[2:], strict=False)))
    return counts


def cosine(a: Counter[str], b: Counter[str]) -> float:
    """Cosine of two gram counts, 0 (nothing shared) to 1 (the same)."""
    if len(a) > len(b):
        a, b = b, a
    dot = sum(n * b[gram] for gram, n in a.items() if gram in b)
    norm = sqrt(sum(n * n for n in a.values()) * sum(n * n for n in b.values()))
    return min(1.0, dot / norm) if norm else 0.0


def pairwise(texts: list[str]) -> dict[tuple[int, int], float]:
    """Cosine of every pair of texts, by their indices (lower first)."""
    counted = [grams(text) for text in texts]
    return {(i, j): cosine(counted[i], counted[j]) for i, j in combinations(range(len(texts)), 2)}
