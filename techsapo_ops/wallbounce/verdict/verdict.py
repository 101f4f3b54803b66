"""From agreement and grades to a verdict.

A = (size of the largest cluster - 1) / (answers compared with the chosen one), G = mean peer grade of the
chosen answer (0 to 1), confidence = min(caps, sigmoid(w0 + wA * A + wG * G)). The caps keep it from promising
what so few answers can't carry; labels may raise two of them. An answer that was not compared counts as one
that did not come. docs/decisions/0014-verdict.md says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import exp, pi, sqrt

from techsapo_ops.wallbounce.question import TierRule

SOLE_CAP = 0.5
CAPS = {1: SOLE_CAP, 2: 0.92, 3: 0.95}
"""Highest confidence by number of answers that were compared."""
CAP_OF_MORE = 0.97
CONTRADICTED_CAP = 0.6
DESTRUCTIVE_CAP = 0.5
MANIPULATION_CAP = 0.5
CONTRADICTED = "critical_claim_contradicted"
NOT_COMPARED = "not_compared"
NOT_GRADED = "not_graded"
LOWEST_GRADE = 0.5
"""G below which no answer is accepted, however many agree."""
ANSWERABLE = 0.6
"""Confidence below which nothing is answered at the top tier."""
BOUNCE_BAND = 0.25
"""An answer this far below its threshold may still be improved by a bounce; others need another provider."""


class Outcome(StrEnum):
    """What came of a question."""

    ACCEPTED = "accepted"
    UNSETTLED = "unsettled"
    """Answered, below a threshold; what is unsettled is said."""
    REFUSED = "refused"
    """Not answered: hypotheses instead."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far the answers agree and whether that is enough; `notes` says what keeps it from being so.

    All scores are 0 to 1. `agreement` (A) and `consensus` come from the first, independent answers;
    `grade` (G) is what the peers give the chosen one now. The head of this module has the formulas.
    """

    chosen: int
    """Index of the answer that is given."""
    consensus: float | None
    """None where the chosen answer was compared with none, so that nothing can be said of it."""
    confidence: float
    accepted: bool
    notes: tuple[str, ...] = ()
    agreement: float = 0.0
    grade: float = 0.0
    uncapped: float = 0.0
    """The confidence before any cap: what the weights alone make of agreement and grade."""
    cluster: tuple[int, ...] = ()
    """Indices of the answers that agree with the chosen one and do not differ among each other."""
    relations: tuple[bool | None, ...] = ()
    """By answer, whether it agrees with the chosen one as it is given; None where they were not compared."""
    calibrated: bool = False
    """Whether labelled outcomes stand behind the weights."""
    outcome: Outcome = Outcome.UNSETTLED
    estimate: Estimate | None = None
    """The confidence, its interval and the labels behind it; None of a sole answer."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A chance or a share from 0 to 1, its 95 % interval, and how many labels support it."""

    value: float
    low: float
    high: float
    labels: int


Z = 1.96
"""Standard normal quantile of .975."""
HALF_A_VOICE = 0.5
"""What all that compared must be worth together for their agreement to count in full."""
HALFWAY, BLUR = 0.625, 0.06
"""The grade between "rather wrong" and "rather right", and how much it may be off."""


def borne_out(labels: float) -> float:
    """The most that the lower end of an interval may say: Wilson's for so many labels, all of them right."""
    return labels / (labels + Z * Z)


def succession(labels: int) -> float:
    """The most that a chance may be said to be: Laplace's rule for so many labels, all of them right."""
    return (labels + 1) / (labels + 2)


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of the confidence of one panel: their mean, and how far labels leave them open."""

    mean: tuple[float, ...]
    """Of 1, A, G, A * A (agreement of all may say more than twice that of half) and V."""
    covariance: tuple[tuple[float, ...], ...] = ()
    """Their covariance; nothing where they are certain."""
    labels: int = 0
    contradicted: int = 0
    """Those of the labels whose answer had a contradicted critical claim."""
    worth: tuple[float, ...] = ()
    """By answer, what its word on the chosen one counts, 0 to 1; all alike where there is none."""

    @property
    def calibrated(self) -> bool:
        """Whether labels stand behind them."""
        return self.labels > 0

    def raw(self, evidence: Evidence) -> float:
        """The confidence before any cap; the mean of it over `covariance` (MacKay 1992)."""
        x, variance = self._predictor(evidence)
        return sigmoid(x / sqrt(1 + pi * variance / 8) if self.labels else x)

    def capped(self, evidence: Evidence) -> float:
        """`raw` of the chosen answer, held down by the caps or what labels say instead."""
        highest = max(cap_of(evidence.count), succession(self.labels))
        if evidence.contradicted:
            highest = min(highest, max(CONTRADICTED_CAP, succession(self.contradicted)))
        return min(self.raw(evidence), highest)

    def estimate(self, evidence: Evidence, value: float) -> Estimate:
        """The interval around `value`, which is `raw` after its caps."""
        x, variance = self._predictor(evidence)
        low, high = (sigmoid(x + side * sqrt(variance)) for side in (-Z, Z))
        return Estimate(value, min(low, value, borne_out(self.labels)), max(high, value), self.labels)

    def _predictor(self, evidence: Evidence) -> tuple[float, float]:
        """The logit, and its variance."""
        x = features(evidence)
        variance = sum(
            a * b * c for a, row in zip(x, self.covariance, strict=False) for b, c in zip(x, row, strict=True)
        )
        return sum(a * b for a, b in zip(x, self.mean, strict=True)), max(0.0, variance)


def features(evidence: Evidence) -> tuple[float, ...]:
    """What the weights are multiplied with: 1, A, G, A * A and V, the share of graders who hold it right."""
    agreement, grade = evidence.agreement, evidence.grade or 0.0
    return 1.0, agreement, grade, agreement * agreement, evidence.held_right


def cap_of(count: int) -> float:
    """Highest confidence that `count` answers can carry while no labels say otherwise."""
    return CAPS.get(count, CAP_OF_MORE)


_MEAN = (-3.1, 3.5, 4.5, 0.0, 0.0)
_DIRECTIONS = (
    (1.0, (1.0, 0.0, 0.0, 0.0, 0.0)),  # all answers better or worse
    (0.8, _MEAN),  # agreement and grades both worth more or less, as where errors are shared
    (2.5, (-0.7, 1.0, 0.0, 0.0, 0.0)),  # agreement alone
    (6.0, (-0.8, 0.0, 1.0, 0.0, 0.0)),  # grades alone
    (3.0, (0.0, -1.0, 0.0, 1.0, 0.0)),  # agreement of some against that of all
    (4.0, (-0.7, 0.0, 0.0, 0.0, 1.0)),  # how many hold it right, whatever their grades are
)
"""How far the provisional weights may be off: standard deviations, each with what moves."""
PROVISIONAL = Weights(
    _MEAN,
    tuple(
        tuple(sum(size * size * d[i] * d[j] for size, d in _DIRECTIONS) for j in range(len(_MEAN)))
        for i in range(len(_MEAN))
    ),
)
"""Where nothing is known of the models. Labels move them, and the more where they are the less certain."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of the answers when a verdict is due; `chosen` and `cluster` are indices."""

    count: int
    chosen: int
    cluster: tuple[int, ...]
    consensus: float | None
    """None where no two answers were compared."""
    grade: float | None
    """None where nobody graded the chosen one."""
    relations: tuple[bool | None, ...] = ()
    """By answer, whether it agreed with the chosen one; by default those of the cluster did, no other."""
    now: tuple[bool | None, ...] = ()
    """The same of the chosen one as it was revised; nothing where it was not."""
    graders: int | None = None
    """How many graded the correctness of the chosen one; by default everybody else."""
    contradicted: bool = False
    """More peers contradict a critical claim of the chosen answer than entail it."""
    destructive_split: bool = False
    """It holds a command that can't be undone and that not every answer proposes."""
    manipulation: bool = False
    """It tries to tell its graders what to do."""
    ungraded: bool = False
    """Some grade of an answer is missing."""
    scores: tuple[tuple[int, float], ...] = ()
    """The grades of the chosen one, by who gave them."""
    closeness: tuple[tuple[int, int, float], ...] = ()
    """How far each two answers agree that were compared."""
    worth: tuple[float, ...] = ()
    """By answer, what its word on the chosen one counts; all alike where there is none."""
    self_confidence: float | None = None

    @property
    def stood(self) -> tuple[bool | None, ...]:
        """`relations`, with their default filled in."""
        return self.relations or tuple(i in self.cluster for i in range(self.count))

    @property
    def compared(self) -> int:
        """How many others the chosen answer was compared with."""
        return sum(agree is not None for i, agree in enumerate(self.stood) if i != self.chosen)

    @property
    def carried(self) -> int:
        """How many answers the confidence rests on: the chosen one, and those that compare and grade it."""
        return 1 + min(self.compared, self.count - 1 if self.graders is None else self.graders)

    @property
    def agreement(self) -> float:
        """A: the part of those compared, by what their word counts, that is in the cluster."""
        if not self.worth:
            return (len(self.cluster) - 1) / self.compared if self.compared else 0.0
        weights = {
            j: self.worth[j] for j, agree in enumerate(self.stood) if agree is not None and j != self.chosen
        }
        agreeing = sum(worth for j, worth in weights.items() if j in self.cluster)
        return agreeing / max(HALF_A_VOICE, sum(weights.values()))

    @property
    def held_right(self) -> float:
        """V: the share of graders who hold it for right, a score of 2.5 of 4 being halfway."""
        votes = [
            (self.worth[i] if self.worth else 1.0, sigmoid((score - HALFWAY) / BLUR))
            for i, score in self.scores
        ]
        return _mean(votes, self.grade) or 0.0

    def weighed(self, worth: tuple[float, ...]) -> Evidence:
        """The same, everybody's word counted for what it is worth."""
        if not worth:
            return self
        u = [1.0 if i == self.chosen else w for i, w in enumerate(worth)]
        scores = [(worth[i], score) for i, score in self.scores]
        pairs = [(u[i] * u[j], close) for i, j, close in self.closeness]
        grade, consensus = _mean(scores, self.grade), _mean(pairs, self.consensus)
        return replace(self, worth=worth, grade=grade, consensus=consensus)

    @property
    def split(self) -> bool:
        """Two answers that differ: nothing says which is right."""
        return self.compared == 1 and len(self.cluster) < 2


def _mean(weighed: Sequence[tuple[float, float]], otherwise: float | None) -> float | None:
    whole = sum(weight for weight, _ in weighed)
    return sum(weight * value for weight, value in weighed) / whole if whole > 0 else otherwise


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)), for any x."""
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))


def confidence(evidence: Evidence, weights: Weights) -> tuple[float, tuple[str, ...]]:
    """The confidence of the chosen answer, and the names of the caps that hold it down.

    A sole answer has neither agreement nor grades: it is worth what it says of itself, at most SOLE_CAP.
    """
    if evidence.count == 1:
        stated = evidence.self_confidence
        return min(SOLE_CAP, SOLE_CAP if stated is None else max(0.0, stated)), ("sole_answer",)
    contradicted = evidence.contradicted
    reached = weights.capped(evidence)
    if evidence.carried < evidence.count:
        reached = min(reached, cap_of(evidence.carried))  # labels raised the cap of whole gradings alone
    notes = [] if evidence.compared else [NOT_COMPARED]
    if contradicted:
        notes.append(CONTRADICTED)
    for holds, cap, note in (
        (evidence.destructive_split, DESTRUCTIVE_CAP, "destructive_not_unanimous"),
        (evidence.manipulation, MANIPULATION_CAP, "answer_addresses_graders"),
    ):
        if holds:
            reached = min(reached, cap)
            notes.append(note)
    return reached, tuple(notes)


def decisive(reported: float, notes: Sequence[str]) -> float:
    """The confidence that thresholds are held against.

    Labels may show that answers with a contradicted critical claim are often right, and the reported
    confidence then says so; none of them is accepted for that.
    """
    return min(reported, CONTRADICTED_CAP) if CONTRADICTED in notes else reported


KEEPS_FROM_ACCEPTING = frozenset(
    {
        "sole_answer",
        "split",
        NOT_COMPARED,
        NOT_GRADED,
        "consensus_below_threshold",
        "grade_below_threshold",
        "confidence_below_threshold",
    }
)


def judge(evidence: Evidence, rule: TierRule, weights: Weights) -> Verdict:
    """The verdict; accepted only if no threshold is missed and two answers are not split.

    The formula alone would pass two answers that contradict each other (A = 0) where one is graded .9.
    """
    evidence = evidence.weighed(weights.worth)
    reached, caps = confidence(evidence, weights)
    notes, grade = list(caps), evidence.grade or 0.0
    if evidence.count > 1:
        if evidence.split:
            notes.append("split")
        if evidence.consensus is not None and evidence.consensus < rule.consensus:
            notes.append("consensus_below_threshold")
        if evidence.grade is None:
            notes.append(NOT_GRADED)
        elif evidence.grade < LOWEST_GRADE:
            notes.append("grade_below_threshold")
        if decisive(reached, caps) < rule.confidence:
            notes.append("confidence_below_threshold")
    accepted = not set(notes) & KEEPS_FROM_ACCEPTING
    if evidence.now:
        notes.append("answer_revised")
    if evidence.ungraded:
        notes.append("grading_incomplete")
    return Verdict(
        chosen=evidence.chosen,
        consensus=evidence.consensus if evidence.compared else None,
        confidence=reached,
        accepted=accepted,
        notes=tuple(notes),
        agreement=evidence.agreement,
        grade=grade,
        uncapped=weights.raw(evidence) if evidence.count > 1 else reached,
        cluster=evidence.cluster,
        relations=evidence.now or evidence.stood,
        calibrated=weights.calibrated and evidence.count > 1,
        outcome=Outcome.ACCEPTED if accepted else Outcome.UNSETTLED,
        estimate=weights.estimate(evidence, reached) if evidence.count > 1 else None,
    )
