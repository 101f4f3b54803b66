"""What answers claim, which claims are critical, and how answers stand to each other.

Agreement, split, dissent and consensus are all read from here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from math import sqrt
from operator import add, mul
from statistics import fmean

from techsapo_ops.wallbounce.answers import MAX_CLAIMS, Answer, Grade, Stance
from techsapo_ops.wallbounce.question import fold, language_of
from techsapo_ops.wallbounce.verdict.commands import commands_of, destructive, whole

LONGEST_CLAIM = 300
"""Characters of a claim that are graded and shown."""
NAMES_CAUSE = 0.5
"""Cosine from which a claim is taken to state the root cause."""
COSINE = 0.25
JACCARD = 0.15
SCREENED = 20_000
"""Characters of an answer that are screened: the n-grams of more would hold up the event loop."""

_BETWEEN_SENTENCES = re.compile(r"(?<=[。．！？!?])|(?<=\.)\s+|\n+")
_TO_GRADERS = {
    "grade score rate give mark": r"\b(?:grade|score|rate|give|mark)\b[^.\n]{0,60}?"
    r"\b(?:all|every|each|this|me|it|everything)\b[^.\n]{0,40}?\b(?:4|four|full|maximum|top)\b",
    "ignore": r"\bignore\b[^.\n]{0,40}?\b(?:previous|above|prior|earlier|all)\b"
    r"[^.\n]{0,40}?\b(?:instruction|prompt|rule)s?",
    "grader reviewer evaluator judge": r"\b(?:note|message|instruction)s?\s+(?:to|for)\s+(?:the\s+)?"
    r"(?:grader|reviewer|evaluator|judge)|\byou\s+are\s+(?:the|a|an)\s+(?:grader|evaluator|judge|reviewer)\b",
    "4点 4を 満点 最高点 最高評価": r"(?:すべて|全て|全部|全項目)[^。\n]{0,20}?"
    r"(?:4点|4を|満点|最高点|最高評価)"
    r"|(?:満点|最高点|最高評価)[^。\n]{0,20}?(?:採点|評価|付け|つけ)",
    "<!-- [//]": r"(?:<!--|\[//\]:)[^>]{0,200}?(?:\b(?:grader|reviewer|evaluator|judge|checker)s?\b"
    r"|採点|評価者|審査員|査読者|点検者)",
    "graders grader evaluator judge reviewer": r"\b(?:grader|evaluator|judge|reviewer)s?(?:\s?[:,]\s{0,9}"
    r"[^\n]{0,60}?\b(?:correct|right|accurate|grade|score|perfect)\b"
    r"|\s(?:should|must|please)\s[^\n]{0,60}?\b(?:answer|response)\b)",
    "採点者 評価者 審査員 査読者": r"(?:採点者|評価者|審査員|査読者)(?:へ|の(?:皆|方)|は|各位|[:、])",
    "指示 命令 プロンプト": r"(?:以前|これまで|上記|前)の(?:指示|命令|プロンプト)[^。\n]{0,12}?(?:無視|忘れ)",
}
_TRIED = tuple((words.split(), re.compile(pattern)) for words, pattern in _TO_GRADERS.items())
"""Each pattern needs one of its words; to look for these is far quicker than to search for it."""


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
    said = fold(whole(answer)).casefold().replace("ı", "i")
    return any(any(map(said.__contains__, words)) and pattern.search(said) for words, pattern in _TRIED)


# Both begin with one character of a set, which the regex engine is quick to find.
_PATH = re.compile(r"/(?<![\w/]/)[\w.-]+(?:/[\w.*-]+)*")
_NUMBER = re.compile(r"\d\d*(?:\.\d+)?%?")


def grams(text: str, *, longer: bool = True) -> Counter[str]:
    """Character 2-grams of `text`, and 3-grams, in any language, blind to case, width and white space."""
    folded = "".join(fold(text).casefold().split())
    pairs = list(map(add, folded, folded[1:]))
    counts = Counter(pairs)
    if longer:
        counts.update(map(add, pairs, folded[2:]))
    return counts


def cosine(a: Counter[str], b: Counter[str]) -> float:
    """Cosine of two gram counts, 0 (nothing shared) to 1 (the same)."""
    if len(a) > len(b):
        a, b = b, a
    shared = a.keys() & b.keys()
    dot = sum(map(mul, map(a.__getitem__, shared), map(b.__getitem__, shared)))
    norm = sqrt(_square(a) * _square(b))
    return min(1.0, dot / norm) if norm else 0.0


def _square(counts: Counter[str]) -> int:
    return sum(map(mul, counts.values(), counts.values()))


def marks(answer: Answer) -> frozenset[str]:
    """What is the same in every language: the first words of commands, paths and numbers."""
    folded = fold(answer.text[:SCREENED]).casefold()
    terms = {f"command {' '.join(c.casefold().split()[:2])}" for c in commands_of(answer)}
    terms.update(f"path {p}" for p in _PATH.findall(folded))
    terms.update(f"number {n}" for n in _NUMBER.findall(folded))
    return frozenset(terms)


def jaccard(a: frozenset[str], b: frozenset[str]) -> float | None:
    """Shared part of two sets, 0 to 1; None where both are empty, which says nothing."""
    union = len(a | b)
    return len(a & b) / union if union else None


def disagree(likeness: float, shared: float | None) -> bool:
    """Whether wording (cosine) and marks (Jaccard) are so far apart that agreement is out of the question."""
    return likeness < COSINE and shared is not None and shared < JACCARD


class Wording:
    """What is compared of an answer's wording. Its n-grams are dear, and counted when they are needed."""

    def __init__(self, answer: Answer) -> None:
        self._text = answer.text[:SCREENED]
        self.marks = marks(answer)
        self.language = language_of(self._text)

    @cached_property
    def pairs(self) -> Counter[str]:
        """Its 2-grams alone."""
        return grams(self._text, longer=False)

    @cached_property
    def grams(self) -> Counter[str]:
        """Its 2- and 3-grams."""
        return grams(self._text)


def screen(wordings: Sequence[Wording], first: int = 0) -> frozenset[tuple[int, int]]:
    """Pairs of indices (lower first) that disagree by wording; only pairs with one at or beyond `first`.

    It only ever *declares disagreement*. Likeness says nothing: a contradiction that copies the wording
    reaches a cosine of .83 while a true Japanese paraphrase has .53.

    Between two languages the wording differs whatever is meant, so that such pairs are never declared.
    """

    def apart(one: Wording, other: Wording) -> bool:
        shared = jaccard(one.marks, other.marks)
        if one.language != other.language or not disagree(0.0, shared):
            return False  # the marks have settled it
        # A text's 3-grams have a smaller square than its 2-grams: all of them at most halve this cosine.
        if cosine(one.pairs, other.pairs) > 2 * COSINE:
            return False
        return disagree(cosine(one.grams, other.grams), shared)

    pairs = combinations(range(len(wordings)), 2)
    return frozenset((i, j) for i, j in pairs if j >= first and apart(wordings[i], wordings[j]))


Pair = tuple[int, int]
ENTAILED = 0.5
"""Share of claims that a grader must hold too for its answer to entail the other."""
CONTRADICTED = 0.25
"""Share of claims that it may contradict all the same; of the critical ones none."""


def entailed_share(grade: Grade) -> float | None:
    """Share of the claims with a known stance that the grader entails; None where none has one."""
    known = [stance for stance in grade.stances if stance is not None]
    return known.count(Stance.ENTAILS) / len(known) if known else None


def entails(grade: Grade, critical: Iterable[int]) -> bool | None:
    """Whether the grader's answer entails the graded one; `critical` are indices of its critical claims.

    None where that hangs on stances that are missing: yes and no are said only where none of them could turn
    it.
    """
    stances, decisive = grade.stances, set(critical)
    count, open_ = len(stances), stances.count(None)
    held, against = stances.count(Stance.ENTAILS), stances.count(Stance.CONTRADICTS)
    most = CONTRADICTED * count
    denied = any(stances[i] is Stance.CONTRADICTS for i in decisive if i < count)
    if denied or against > most or held + open_ < ENTAILED * count:
        return False
    settled = count > 0 and all(stances[i] is not None for i in decisive if i < count)
    return True if settled and held >= ENTAILED * count and against + open_ <= most else None


def leading(
    count: int, agree: frozenset[Pair], unknown: frozenset[Pair] = frozenset()
) -> tuple[tuple[int, ...], ...]:
    """The largest groups of answers in which every pair agrees; several where they are equally large.

    Groups, not chains: that A agrees with B and B with C does not make C agree with A. Where it is not known
    whether B and C do, one with whom both agree holds them together. At most eight providers answer, so that
    going through all subsets is quick.
    """
    for size in range(count, 1, -1):
        groups = tuple(
            group
            for group in combinations(range(count), size)
            if all(pair in agree or pair in unknown for pair in combinations(group, 2)) and hubs(group, agree)
        )
        if groups:
            return groups
    return tuple((i,) for i in range(count))


def hubs(group: Sequence[int], agree: frozenset[Pair]) -> tuple[int, ...]:
    """Those of `group` that agree with everybody else in it."""
    return tuple(i for i in group if all((min(i, j), max(i, j)) in agree for j in group if j != i))


def partition(
    count: int, agree: frozenset[Pair], unknown: frozenset[Pair], grade: Callable[[int], float]
) -> tuple[tuple[int, ...], ...]:
    """Every answer in one group: the largest first, of equally large ones the best graded."""
    left = list(range(count))
    groups: list[tuple[int, ...]] = []
    while left:
        renamed = {old: new for new, old in enumerate(left)}
        inside, open_ = (
            frozenset((renamed[i], renamed[j]) for i, j in pairs if i in renamed and j in renamed)
            for pairs in (agree, unknown)
        )
        choices = [tuple(left[i] for i in group) for group in leading(len(left), inside, open_)]
        best = max(choices, key=lambda g: (sum(map(grade, g)) / len(g), [-i for i in g]))
        groups.append(best)
        left = [i for i in left if i not in best]
    return tuple(groups)


@dataclass(slots=True)
class Relations:
    """What the first grade of each pair settles; agreement is that of independent answers.

    Two answers agree where each entails the other, they differ where one does not or their wording is too far
    apart, and they were not compared where the grades that would tell are missing.
    """

    _entailed: dict[Pair, bool | None] = field(default_factory=dict)
    """By (grader, subject)."""
    _shares: dict[Pair, float | None] = field(default_factory=dict)
    _apart: frozenset[Pair] = frozenset()

    def part(self, pairs: Iterable[Pair]) -> None:
        """Take in pairs (lower index first) that differ, whatever graders say."""
        self._apart |= frozenset(pairs)

    def take(self, pair: Pair, grade: Grade, critical: Iterable[int]) -> None:
        """Take in the grade of (grader, subject), unless there is one: the first counts."""
        if pair not in self._entailed:
            self._entailed[pair] = entails(grade, critical)
            self._shares[pair] = entailed_share(grade)

    def agree(self, one: int, other: int, silenced: frozenset[int] = frozenset()) -> bool | None:
        """Whether two answers agree; None where they were not compared. `silenced` agree with nobody."""
        if silenced & {one, other} or (min(one, other), max(one, other)) in self._apart:
            return False
        ways = (self._entailed.get((one, other)), self._entailed.get((other, one)))
        return False if False in ways else None if None in ways else True

    def closeness(self, one: int, other: int, silenced: frozenset[int] = frozenset()) -> float | None:
        """How far two answers agree, 0 to 1; None where they were not compared.

        The mean share of claims that they entail of each other. It is at least one half where they agree and
        at most that where they differ, so that it never says otherwise than `agree`.
        """
        agree = self.agree(one, other, silenced)
        if agree is None:
            return None
        if silenced & {one, other} or (min(one, other), max(one, other)) in self._apart:
            return 0.0
        ways = (self._shares.get((one, other)), self._shares.get((other, one)))
        mean = fmean(share for share in ways if share is not None)
        return mean if agree else min(mean, ENTAILED)

    def pairs(
        self, count: int, agree: bool | None, silenced: frozenset[int] = frozenset()
    ) -> frozenset[Pair]:
        """The pairs of `count` answers that agree (True), differ (False) or were not compared (None)."""
        everyone = combinations(range(count), 2)
        return frozenset(pair for pair in everyone if self.agree(*pair, silenced) is agree)

    def consensus(self, count: int, silenced: frozenset[int] = frozenset()) -> float | None:
        """Mean closeness of all pairs of `count` answers that were compared; None where none was."""
        known = [close for _, _, close in self.closenesses(count, silenced)]
        return fmean(known) if known else None

    def closenesses(
        self, count: int, silenced: frozenset[int] = frozenset()
    ) -> tuple[tuple[int, int, float], ...]:
        """How far each two of `count` answers agree; only of those that were compared."""
        pairs = ((i, j, self.closeness(i, j, silenced)) for i, j in combinations(range(count), 2))
        return tuple((i, j, close) for i, j, close in pairs if close is not None)
