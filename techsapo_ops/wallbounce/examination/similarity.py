"""How alike two texts are, by their wording."""

from __future__ import annotations

import unicodedata
from collections import Counter
from functools import lru_cache
from itertools import pairwise as pairs
from math import sqrt
from operator import mul


@lru_cache(maxsize=8)
def fold(text: str) -> str:
    """`text` in NFKC: full-width and half-width forms are one. The last few are kept for the next asker."""
    return unicodedata.normalize("NFKC", text)


def grams(text: str) -> Counter[str]:
    """Character 2- and 3-grams of `text`, in any language, blind to case, width and white space."""
    folded = "".join(fold(text).casefold().split())
    counts = Counter(map("".join, pairs(folded)))
    counts.update(map("".join, zip(folded, folded[1:], folded[2:], strict=False)))
    return counts


def cosine(a: Counter[str], b: Counter[str]) -> float:
    """Cosine of two gram counts, 0 (nothing shared) to 1 (the same)."""
    if len(a) > len(b):
        a, b = b, a
    dot = sum(a[gram] * b[gram] for gram in a.keys() & b.keys())
    norm = sqrt(_square(a) * _square(b))
    return min(1.0, dot / norm) if norm else 0.0


def _square(counts: Counter[str]) -> int:
    return sum(map(mul, counts.values(), counts.values()))
