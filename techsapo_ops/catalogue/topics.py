"""What causes are about, and which words tell it, loaded from topics.yaml."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal

from techsapo_ops.catalogue.yaml_text import packaged_table

_BEGINS_LONGER = 5
"""Letters from which on a word may go on."""
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
"""Where a name such as RedisMemoryHigh goes on with its next word."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One entry of topics.yaml; the file's head explains each key."""

    name: str
    title: Mapping[Literal["ja", "en"], str]
    words: re.Pattern[str]
    effect: bool


@cache
def topics() -> Mapping[str, Topic]:
    """Every topic by name, in the order of topics.yaml."""
    return packaged_table("topics.yaml", _topic)


def plain(text: str) -> str:
    """`text` in one form of width and case, the words of names in camel case apart."""
    return unicodedata.normalize("NFKC", _HUMP.sub(" ", text)).casefold()


@lru_cache(maxsize=512)  # an investigation asks for the same pieces again and again
def topics_in(text: str) -> frozenset[str]:
    """The topics that `text`, which is `plain`, names."""
    return frozenset(name for name, topic in topics().items() if topic.words.search(text))


def _topic(name: str, title: Any, words: tuple[str, ...], effect: bool = False) -> Topic:
    return Topic(name, title, re.compile("|".join(map(_pattern, words))), effect)


def _pattern(word: str) -> str:
    escaped = re.escape(plain(word))
    if not word.isascii():
        return escaped
    return rf"(?<![a-z0-9]){escaped}" + ("" if len(word) >= _BEGINS_LONGER else "s?(?![a-z0-9])")
