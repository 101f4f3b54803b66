"""What an answer claims, which of its claims are critical, and which answers can't mean the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import combinations

from techsapo_ops.wallbounce.answers import MAX_CLAIMS, Answer
from techsapo_ops.wallbounce.verdict.commands import commands_of, destructive, whole
from techsapo_ops.wallbounce.wording import cosine, fold, grams, language_of

LONGEST_CLAIM = 300
"""Characters of a claim that are graded and shown."""
NAMES_CAUSE = 0.5
"""Cosine from which a claim is taken to state the root cause."""
COSINE = 0.25
JACCARD = 0.15
SCREENED = 20_000
"""Characters of an answer that are screened: the n-grams of more would hold up the event loop."""

_BETWEEN_SENTENCES = re.compile(r"(?<=[。．！？!?])|(?<=\.)\s+|\n+")
_TO_GRADERS = re.compile(
    r"""\b(?:grade|score|rate|give|mark)\b[^.\n]{0,60}?\b(?:all|every|each|this|me|it|everything)\b[^.\n]{0,40}?\b(?:4|four|full|maximum|top)\b
    |\bignore\b[^.\n]{0,40}?\b(?:previous|above|prior|earlier|all)\b[^.\n]{0,40}?\b(?:instruction|prompt|rule)s?
    |\b(?:note|message|instruction)s?\s+(?:to|for)\s+(?:the\s+)?(?:grader|reviewer|evaluator|judge)s?
    |\byou\s+are\s+(?:the|a|an)\s+(?:grader|evaluator|judge|reviewer)\b
    |(?:すべて|全て|全部|全項目)[^。\n]{0,20}?(?:4点|4を|満点|最高点|最高評価)
    |(?:満点|最高点|最高評価)[^。\n]{0,20}?(?:採点|評価|付け|つけ)
    |(?:採点者|評価者|審査員|査読者)(?:へ|の(?:皆|方)|は)
    |(?:以前|これまで|上記|前)の(?:指示|命令|プロンプト)[^。\n]{0,12}?(?:無視|忘れ)""",
    re.IGNORECASE | re.VERBOSE,
)
_HINTS = (
    "grade", "score", "rate", "give", "mark", "ignore", "reviewer", "evaluator", "judge",
    "4点", "4を", "満点", "最高点", "最高評価", "採点者", "評価者", "審査員", "査読者",
    "指示", "命令", "プロンプト",
)  # fmt: skip
"""Each of _TO_GRADERS' ways needs one of these; looking for them is far quicker than searching for it."""


def sentences(text: str) -> list[str]:
    """The sentences of a Japanese or English text, a line ending one too; `error.log` does not."""
    return [s.strip() for s in _BETWEEN_SENTENCES.split(text) if len(s.strip()) > 1]


def claims_of(answer: Answer) -> tuple[str, ...]:
    """The claims that are graded, at most MAX_CLAIMS: its own, else the sentences of a plain text."""
    own = [c.strip()[:LONGEST_CLAIM] for c in answer.claims if c.strip()]
    if not own:
        head = answer.text[: LONGEST_CLAIM * MAX_CLAIMS * 4]
        own = [s[:LONGEST_CLAIM] for s in sentences(head)]
    return tuple(dict.fromkeys(own))[:MAX_CLAIMS] or (answer.text.strip()[:LONGEST_CLAIM],)


def critical_claims(answer: Answer, claims: Sequence[str], *, destroys: bool = True) -> frozenset[int]:
    """Indices of the claims on which the answer stands: the root cause, and what can't be undone.

    Where no claim states the root cause, the first one stands for it. `destroys` is False where the whole
    answer is known to hold no destructive command, so that its claims need not be searched again.
    """
    critical = {i for i, claim in enumerate(claims) if destroys and destructive(claim)}
    if not answer.root_cause.strip():
        return frozenset(critical | {0})
    if answer.root_cause.strip() in claims:
        return frozenset(critical | {claims.index(answer.root_cause.strip())})
    cause = grams(answer.root_cause[:LONGEST_CLAIM])
    likeness = [cosine(cause, grams(claim)) for claim in claims]
    closest = max(range(len(claims)), key=lambda i: (likeness[i], -i))
    return frozenset(critical | {closest if likeness[closest] >= NAMES_CAUSE else 0})


def speaks_to_graders(answer: Answer) -> bool:
    """Whether the answer tries to tell its graders what to do. Best effort: wording has no end."""
    said = fold(whole(answer)).casefold()
    return any(hint in said for hint in _HINTS) and bool(_TO_GRADERS.search(said))


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

    It only ever *declares disagreement*. Likeness says nothing: a contradiction that copies the wording
    reaches a cosine of .83 while a true Japanese paraphrase has .53.

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
