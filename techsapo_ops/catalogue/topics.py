"""What causes are about, and which words tell it, loaded from topics.yaml."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from string import ascii_lowercase, digits
from typing import TYPE_CHECKING, Literal

from techsapo_ops.catalogue.yaml_text import packaged_table

if TYPE_CHECKING:
    from ahocorasick_rs import AhoCorasick

_BEGINS_LONGER = 5
"""Letters from which on a word may go on."""
_IN_A_WORD = frozenset(ascii_lowercase + digits)
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
"""Where a name such as RedisMemoryHigh goes on with its next word."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One entry of topics.yaml; the file's head explains each key."""

    name: str
    title: Mapping[Literal["ja", "en"], str]
    words: tuple[str, ...]
    effect: bool = False


@cache
def topics() -> Mapping[str, Topic]:
    """Every topic by name, in the order of topics.yaml."""
    return packaged_table("topics.yaml", Topic)


def plain(text: str) -> str:
    """`text` in one form of width and case, the words of names in camel case apart."""
    return unicodedata.normalize("NFKC", _HUMP.sub(" ", text)).casefold()


@lru_cache(maxsize=128)  # an investigation asks for the same pieces again and again
def topics_in(text: str) -> frozenset[str]:
    """The topics that `text`, which is `plain`, names.

    One pass finds the words of all: a search for each topic took 9 ms for an answer of 2,000 characters.
    """
    automaton, words = _automaton()
    places = automaton.find_matches_as_indexes(text.encode(errors="replace").decode(), overlapping=True)
    return frozenset(name for n, *place in places for word, name in words[n] if _stands(word, text, *place))


@cache
def _automaton() -> tuple[AhoCorasick, tuple[list[tuple[str, str]], ...]]:
    """What finds each word, and by its number how it is written in topics.yaml, and for which topics."""
    from ahocorasick_rs import AhoCorasick  # a command that looks at no cause does not need it

    words: dict[str, list[tuple[str, str]]] = {}
    for topic in topics().values():
        for word in topic.words:
            words.setdefault(plain(word), []).append((word, topic.name))
    return AhoCorasick(list(words)), tuple(words.values())


def _stands(word: str, text: str, start: int, end: int) -> bool:
    """Whether `word`, which `text` has from `start` to `end`, is no part of another one there."""
    if not word.isascii():
        return True
    if text[start - 1 : start] in _IN_A_WORD:
        return False
    return len(word) >= _BEGINS_LONGER or text[end : end + 2].removeprefix("s")[:1] not in _IN_A_WORD
