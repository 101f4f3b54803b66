"""Panels of simulated models, drawn as plain data, quickly: what benches and tests measure learning on.

Each model errs by a difficulty that all share and a chance of its own (a one-factor Gaussian copula), takes
the same tempting error as others, and grades by its own belief. What is right is known here alone.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from math import exp, pi, sqrt
from statistics import NormalDist, fmean

from techsapo_ops.wallbounce.examination.claims import hubs, leading
from techsapo_ops.wallbounce.question import TaskType, TierRule
from techsapo_ops.wallbounce.verdict.record import Member, PanelRecord, PeerGrade
from techsapo_ops.wallbounce.verdict.verdict import (
    CONTRADICTED,
    PROVISIONAL,
    Evidence,
    Verdict,
    Weights,
    judge,
)

NORMAL = NormalDist()
ERRORS = 12
"""Wrong answers that a question has; the first is the tempting one."""
STEPS = 12
"""A grade is the mean of three scores from 0 to 4."""
TIER: Mapping[int, TaskType] = {1: "basic", 2: "basic", 3: "premium", 4: "critical"}
RULES: Mapping[TaskType, TierRule] = {
    "basic": TierRule(2, 0.7, 0.6),
    "premium": TierRule(3, 0.8, 0.6),
    "critical": TierRule(4, 0.9, 0.6),
}


@dataclass(frozen=True, slots=True)
class Voice:
    """A model: how often it is right, and how it grades."""

    model: str
    accuracy: float
    family: str = ""
    lazy: bool = False
    """It grades everything alike, and entails whatever it reads."""
    stubborn: bool = False
    """It is wrong whatever the question, in its own way, and holds to it."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A panel, how its errors go together, and what its graders see."""

    name: str
    voices: tuple[Voice, ...]
    phi: float = 0.53
    """Correlation of two models' errors."""
    same_wrong: float = 0.73
    """Share of joint errors in which both give the same wrong answer."""
    sight: float = 0.15
    """How often a grader sees what is right, whatever it believed itself."""
    partial: float = 0.06
    """What it gives more to an answer of its own family."""
    first: float = 0.04
    """What it gives more to the answer that it reads first."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One question to a panel: what a verdict is made from, and whether the chosen answer is right."""

    evidence: Evidence
    members: tuple[tuple[str, str], ...]
    """Model and family of each answer."""
    right: bool
    rights: tuple[bool, ...]
    """The same of every answer."""
    grades: tuple[tuple[int, int, float], ...]

    @property
    def tier(self) -> TaskType:
        return TIER.get(len(self.members), "critical")

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(model for model, _ in self.members)

    def verdict(self, weights: Weights = PROVISIONAL) -> Verdict:
        """What the product makes of it."""
        return judge(self.evidence, RULES[self.tier], weights)

    def record(self) -> PanelRecord:
        """What is kept of it."""
        verdict, rule = self.verdict(), RULES[self.tier]
        return PanelRecord(
            self.tier,
            tuple(
                Member(model, model, family, agrees)
                for (model, family), agrees in zip(self.members, verdict.relations, strict=True)
            ),
            tuple(PeerGrade(*grade) for grade in self.grades),
            verdict.chosen,
            verdict.agreement,
            verdict.grade,
            CONTRADICTED in verdict.notes,
            True,
            rule.confidence,
            rule.consensus,
            verdict.confidence,
            verdict.outcome,
        )


def draw(setting: Setting, count: int, seed: int | str) -> list[Drawn]:
    """`count` panels of `setting`; another seed has other questions."""
    rng = random.Random(f"{setting.name} {seed}")
    voices = setting.voices
    common = fmean(voice.accuracy for voice in voices if not voice.stubborn)
    shared = loading(setting.phi, round(common, 3))
    lines = [NORMAL.inv_cdf(voice.accuracy) for voice in voices]
    tempted = tempting(setting.same_wrong)
    return [_panel(setting, rng, shared, lines, tempted) for _ in range(count)]


def _panel(
    setting: Setting, rng: random.Random, shared: float, lines: Sequence[float], tempted: float
) -> Drawn:
    voices = setting.voices
    hard, own = sqrt(shared) * rng.gauss(0, 1), sqrt(1 - shared)
    answers = []
    for voice, line in zip(voices, lines, strict=True):
        if voice.stubborn:
            answers.append(rng.randrange(2, ERRORS))
        elif hard + own * rng.gauss(0, 1) <= line:
            answers.append(0)
        else:
            answers.append(1 if rng.random() < tempted else rng.randrange(2, ERRORS))
    grades = {}
    for grader in range(len(voices)):
        order = [i for i in range(len(voices)) if i != grader]
        rng.shuffle(order)
        for place, subject in enumerate(order):
            grades[grader, subject] = _score(setting, rng, (grader, subject), answers, place)
    return _drawn(voices, answers, grades)


def _score(
    setting: Setting, rng: random.Random, pair: tuple[int, int], answers: Sequence[int], place: int
) -> float:
    grader, subject = (setting.voices[i] for i in pair)
    if grader.lazy:
        return 0.75
    believed = 0 if rng.random() < setting.sight and not grader.stubborn else answers[pair[0]]
    mean = 0.85 if answers[pair[1]] == believed else 0.4
    mean += setting.partial * (bool(subject.family) and grader.family == subject.family)
    mean += setting.first * (place == 0)
    return min(STEPS, max(0, round(STEPS * rng.gauss(mean, 0.13)))) / STEPS


def _drawn(voices: Sequence[Voice], answers: Sequence[int], grades: Mapping[tuple[int, int], float]) -> Drawn:
    count = len(voices)
    same = frozenset(p for p in combinations(range(count), 2) if answers[p[0]] == answers[p[1]])

    def grade(index: int) -> float:
        return fmean(grades[g, index] for g in range(count) if g != index) if count > 1 else 0.0

    rank = [grade(i) for i in range(count)]
    cluster = max(leading(count, same), key=lambda c: (fmean(rank[i] for i in c), [-i for i in c]))
    chosen = max(hubs(cluster, same), key=lambda i: (rank[i], -i))
    against = [not voices[i].lazy and answers[i] != answers[chosen] for i in range(count) if i != chosen]
    close = tuple((i, j, 0.85 if (i, j) in same else 0.15) for i, j in combinations(range(count), 2))
    evidence = Evidence(
        count,
        chosen,
        cluster,
        fmean(c for _, _, c in close) if close else None,
        rank[chosen],
        tuple(answers[i] == answers[chosen] for i in range(count)),
        contradicted=2 * sum(against) > len(against),
        scores=tuple((g, score) for (g, s), score in grades.items() if s == chosen),
        closeness=close,
    )
    rights = tuple(answer == 0 for answer in answers)
    given = tuple((g, s, score) for (g, s), score in grades.items())
    return Drawn(
        evidence, tuple((v.model, v.family or v.model) for v in voices), rights[chosen], rights, given
    )


@cache
def loading(phi: float, accuracy: float) -> float:
    """The part of the difficulty that models of `accuracy` share where their errors correlate at `phi`."""
    line, wrong = NORMAL.inv_cdf(accuracy), 1 - accuracy
    wanted = wrong * wrong + phi * wrong * accuracy
    low, high = 0.0, 0.9999
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if _both(middle, line) < wanted else (low, middle)
    return low


def _both(shared: float, line: float) -> float:
    """The chance that both err, integrated over the shared difficulty."""
    steps = [n / 100 for n in range(-600, 601)]
    return sum(
        NORMAL.cdf((sqrt(shared) * z - line) / sqrt(1 - shared)) ** 2 * exp(-z * z / 2) for z in steps
    ) / (100 * sqrt(2 * pi))


def tempting(same_wrong: float) -> float:
    """How often a wrong model takes the tempting error, so that two that err take the same so often."""
    others = ERRORS - 2
    # t * t + (1 - t) ** 2 / others = same_wrong
    a, b, c = 1 + 1 / others, -2 / others, 1 / others - same_wrong
    return (-b + sqrt(b * b - 4 * a * c)) / (2 * a)
