"""What an answer claims, which of its claims are critical, and whether it speaks to its graders."""

from __future__ import annotations

import re
from collections.abc import Sequence

from techsapo_ops.wallbounce.answers import MAX_CLAIMS, Answer
from techsapo_ops.wallbounce.examination.similarity import cosine, fold, grams
from techsapo_ops.wallbounce.verdict.commands import destructive, whole

LONGEST_CLAIM = 300
"""Characters of a claim that are graded and shown."""
NAMES_CAUSE = 0.5
"""Cosine from which a claim is taken to state the root cause."""

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
