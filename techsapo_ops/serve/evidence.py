"""How an answer came about: evidence, grades, bounces, dissent."""

from __future__ import annotations

from typing import Any

from techsapo_ops.serve.bodies.answer import (
    AgainstBody,
    AmendmentBody,
    BounceBody,
    DestructiveBody,
    DissentBody,
    EscalationBody,
    EvidenceBody,
    GradeBody,
    HazardBody,
    HypothesisBody,
    ScoreBody,
    UnsettledBody,
)
from techsapo_ops.wallbounce.analysis import Analysis
from techsapo_ops.wallbounce.calibration import model_set
from techsapo_ops.wallbounce.grades import Objection, Review, Score, Stance
from techsapo_ops.wallbounce.verdict import CONTRADICTED


def examination(analysis: Analysis) -> dict[str, Any]:
    """The fields of AnswerBody that show how the answer of `analysis` came about."""
    return {
        "evidence": _evidence(analysis),
        "grades": [_grade(r) for r in analysis.reviews],
        "unsettled": [_unsettled(o) for o in analysis.unsettled],
        "dissent": [
            DissentBody(provider=d.provider, root_cause=d.root_cause, grade=rounded(d.grade))
            for d in analysis.dissent
        ],
        "amendments": [AmendmentBody(provider=a.provider, claim=a.claim) for a in analysis.amendments],
        "destructive": [
            DestructiveBody(command=d.command, kind=d.kind, why=d.why, effect=d.effects[0])
            for d in analysis.destructive
        ],
        "hazards": [
            HazardBody(command=d.command, kind=d.kind, why=d.why, effect=d.effects[0])
            for d in analysis.hazards
        ],
        "bounces": [
            BounceBody(
                round=b.round,
                provider=b.provider,
                claims=list(b.claims),
                before=rounded(b.before),
                after=rounded(b.after),
                kept=b.kept,
            )
            for b in analysis.bounces
        ],
        "escalations": [
            EscalationBody(reason=e.reason, tier=e.tier, providers=list(e.providers))
            for e in analysis.escalations
        ],
        "hypotheses": [
            HypothesisBody(cause=h.cause, providers=list(h.providers), grade=rounded(h.grade))
            for h in analysis.hypotheses
        ],
    }


def _evidence(analysis: Analysis) -> EvidenceBody:
    verdict = analysis.verdict
    return EvidenceBody(
        tier=analysis.tier,
        models=list(model_set([a.model for a in analysis.answers])),
        agreement=round(verdict.agreement, 4),
        grade=round(verdict.grade, 4),
        contradicted=CONTRADICTED in verdict.notes,
        uncapped=round(verdict.uncapped, 4),
        complete="grading_incomplete" not in verdict.notes,
    )


def _grade(review: Review) -> GradeBody:
    grade = review.grade
    stances = grade.stances
    return GradeBody(
        grader=review.grader,
        subject=review.subject,
        mean=rounded(grade.mean),
        correctness=_score(grade.correctness),
        safety=_score(grade.safety),
        completeness=_score(grade.completeness),
        entails=stances.count(Stance.ENTAILS),
        contradicts=stances.count(Stance.CONTRADICTS),
        silent=stances.count(Stance.SILENT),
        absent=stances.count(None),
    )


def rounded(value: float | None) -> float | None:
    """`value` as it is told; None stays None, for nobody gave it."""
    return None if value is None else round(value, 4)


def _score(score: Score | None) -> ScoreBody | None:
    return None if score is None else ScoreBody(score=score.value, evidence=score.evidence)


def _unsettled(objection: Objection) -> UnsettledBody:
    against = [AgainstBody(provider=name, evidence=evidence) for name, evidence in objection.against]
    return UnsettledBody(claim=objection.claim, critical=objection.critical, against=against)
