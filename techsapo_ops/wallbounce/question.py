"""What is asked, in which language, what each tier asks of the answers, and what an analysis may take."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, NamedTuple

from techsapo_ops.masking.masker import Masker
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import seconds

Language = Literal["en", "ja"]
TaskType = Literal["basic", "premium", "critical", "cascade"]
PANELS: tuple[TaskType, ...] = ("basic", "premium", "critical")
"""The tiers of which a panel sits at once, the lowest first."""
CASCADE: TaskType = "cascade"
"""One model answers, another checks; where that is not enough, the panel of HANDED_TO sits."""
HANDED_TO: TaskType = "premium"
TIERS: tuple[TaskType, ...] = (*PANELS, CASCADE)
DEADLINE = 120.0
MAX_BOUNCES = 2


class Passage(NamedTuple):
    """A part of a question: material such as a log by its `name`, or, without one, what is asked of it."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Composed:
    """A prompt of several parts, so that what is asked and what it is asked about stay apart."""

    parts: tuple[Passage, ...]

    def __str__(self) -> str:
        """All of it as one text, to read and to write down. Nothing is sent so."""
        return "\n\n".join(f"<{p.name}>\n{p.text}\n</{p.name}>" if p.name else p.text for p in self.parts)


class Source(NamedTuple):
    """A part of a page of the team's own that stands in a question."""

    file: str
    heading: str


KNOWLEDGE = "knowledge"
"""Name of the passages with such parts, whose first line is the file and the heading."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, by which request, and the language of the answer.

    `masker` has taken secrets out of `text` already, and takes them out of all else that is sent.
    """

    text: str
    language: Language
    request_id: str = ""
    masker: Masker = field(default_factory=lambda: Masker("off"), compare=False, repr=False)
    parts: tuple[Passage, ...] = ()
    """The same in parts, where it came in several. Without, all of it is what the user asks."""
    sources: tuple[Source, ...] = ()
    """What of the team's own pages is among the parts."""


@dataclass(frozen=True, slots=True)
class TierRule:
    """How many providers answer, and the scores that an accepted answer needs (0 to 1)."""

    providers: int
    confidence: float
    consensus: float


@dataclass(frozen=True, slots=True)
class Policy:
    """The rule of each tier, and the limits of one analysis: seconds, rounds of bounces, USD if any."""

    tiers: Mapping[TaskType, TierRule]
    deadline: float = DEADLINE
    max_bounces: int = MAX_BOUNCES
    per_request_usd: float | None = None


def policy_of(spec: Spec, *, counts: bool = True) -> Policy:
    """The policy of `spec`. Without `counts` money is none, and there is no limit to it."""
    tiers, consensus = spec.wallbounce.tiers, spec.wallbounce.consensus
    return Policy(
        {
            "basic": TierRule(tiers.basic.providers, tiers.basic.confidence, consensus),
            "premium": TierRule(tiers.premium.providers, tiers.premium.confidence, consensus),
            "critical": TierRule(tiers.critical.providers, tiers.critical.confidence, consensus),
            "cascade": TierRule(2, tiers.cascade.confidence, consensus),
        },
        deadline=seconds(spec.app.limits.request_timeout),
        max_bounces=spec.wallbounce.max_bounces,
        per_request_usd=spec.budget.per_request_usd if counts else None,
    )


LONGEST_LINE = 2000
"""Characters of a line, from its end, in which a language is asked for."""
_JAPANESE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uff66-\uff9f]")
_UNSEEN = re.compile(
    "[\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Unicode's category Cf, and its other characters that are not shown (Default_Ignorable_Code_Point)."""
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


def language_of(text: str) -> Language:
    """`ja` where the text holds kana or kanji, or no letter of any language (`502?`); else `en`."""
    return "ja" if _JAPANESE.search(text) or not any(map(str.isalpha, text)) else "en"


def language_asked_for(words: str) -> Language | None:
    """The language that `words` clearly ask the answer to be in; None where none or both are asked for.

    They are looked for in the first and the last line alone: what lies between is mostly a log.
    """
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    languages = {
        _LANGUAGES[match["of"].lower()]
        for line in {*lines[:1], *lines[-1:]}
        for pattern in _ASKED
        for match in pattern.finditer(line[-LONGEST_LINE:])
        if not match["not"]
    }
    return languages.pop() if len(languages) == 1 else None


@lru_cache(maxsize=8)
def fold(text: str) -> str:
    """`text` in NFKC: full-width and half-width forms are one. Characters that nobody sees are left out: they
    would hide a word from every pattern. The last few are kept for the next asker.
    """
    return text if text.isascii() else _UNSEEN.sub("", unicodedata.normalize("NFKC", text))
