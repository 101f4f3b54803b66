"""What simulated providers know: the topics of simulated.yaml."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

from techsapo_ops.catalogue.yaml_text import packaged_yaml
from techsapo_ops.wallbounce.answers import MAX_CLAIMS
from techsapo_ops.wallbounce.language import Language

_SENTENCE = re.compile(r"[^。]+。|.+?[.](?=\s|$)")
_COMMAND = re.compile(r"「([a-z][^」]*)」|`([^`]+)`")


@cache
def _sentences(text: str) -> tuple[str, ...]:
    return tuple(s.strip() for s in _SENTENCE.findall(text))[:MAX_CLAIMS]


@dataclass(frozen=True, slots=True)
class Topic:
    """One thing that simulated providers know; `match` holds folded words of a question."""

    match: tuple[str, ...]
    text: Mapping[Language, str]

    def claims(self, language: Language) -> tuple[str, ...]:
        """Its sentences; the first is the root cause."""
        return _sentences(self.text[language])

    def commands(self, language: Language) -> tuple[str, ...]:
        """The commands that it quotes."""
        return tuple(ja or en for ja, en in _COMMAND.findall(self.text[language]))


@dataclass(frozen=True, slots=True)
class Knowledge:
    """simulated.yaml."""

    topics: tuple[Topic, ...]
    openings: Mapping[Language, tuple[str, ...]]
    closings: Mapping[Language, tuple[str, ...]]

    def right(self, folded: str) -> int:
        """Index of the topic that answers a folded question; the last one fits everything."""
        return _right(tuple(topic.match for topic in self.topics), folded)


@lru_cache(maxsize=64)
def _right(matches: tuple[tuple[str, ...], ...], folded: str) -> int:
    for index, words in enumerate(matches):
        if any(word in folded for word in words):
            return index
    return len(matches) - 1


@cache
def knowledge() -> Knowledge:
    """The content of simulated.yaml."""
    raw = packaged_yaml("simulated.yaml", "techsapo_ops.wallbounce.providers")
    topics = tuple(
        Topic(tuple(fold(word) for word in t["match"]), {"ja": t["ja"], "en": t["en"]})
        for t in raw["topics"].values()
    )
    return Knowledge(topics, raw["openings"], raw["closings"])


@lru_cache(maxsize=64)
def fold(text: str) -> str:
    """`text` as words are looked for in it: in NFKC, without case."""
    return unicodedata.normalize("NFKC", text).casefold()
