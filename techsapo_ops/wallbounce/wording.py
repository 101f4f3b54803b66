"""What can be told of a text by its wording: its language, the one it asks for, how alike two texts are."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache
from itertools import pairwise as pairs
from math import sqrt
from operator import mul
from typing import Literal

Language = Literal["en", "ja"]
LONGEST_LINE = 2000
"""Characters of a line, from its end, in which a language is asked for."""

_JAPANESE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uff66-\uff9f]")


def language_of(text: str) -> Language:
    """`ja` where the text holds kana or kanji, or no letter of any language (`502?`); else `en`."""
    return "ja" if _JAPANESE.search(text) or not any(map(str.isalpha, text)) else "en"


_OF = "(?P<of>english|japanese)"
_ASKED = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?P<not>(?:\b(?:not|never|no need to)|n't)\b[^.!?\n]{0,20})?"
        rf"\b(?:answer|reply|respond|response|explain|explanation)\b[^.!?\n]{{0,40}}?\bin {_OF}\b",
        rf"(?P<not>\bnot )?\bin {_OF},? please\b",
        rf"\bplease,? (?P<not>not )?in {_OF}\b",
        rf"(?:^|[.?!,;:-]\s*)(?P<not>not )?in {_OF}\W*$",
        r"(?P<of>英語|日本語)で(?:の)?(?:お|ご)?(?:回答|返答|返信|説明|解説|答え|返し|教え|願い|頼)"
        r"(?P<not>[^。\n]{0,3}(?:ない|なく|不要))?",
    )
)
"""Words that ask for a language; those that ask not to use it are `not`."""
_LANGUAGES: dict[str, Language] = {"english": "en", "英語": "en", "japanese": "ja", "日本語": "ja"}


def language_asked_for(words: str) -> Language | None:
    """The language that `words` clearly ask the answer to be in; None where none or both are asked for.

    They are looked for in the first and the last line alone: what lies between is mostly a log.
    """
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    found = {
        _LANGUAGES[match["of"].lower()]
        for line in {*lines[:1], *lines[-1:]}
        for pattern in _ASKED
        for match in pattern.finditer(line[-LONGEST_LINE:])
        if not match["not"]
    }
    return found.pop() if len(found) == 1 else None


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
