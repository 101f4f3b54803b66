"""The part of the answer's document that shows how it came about: evidence, grades, bounces, dissent."""

from __future__ import annotations

from typing import Any

from techsapo_ops.wallbounce.analysis import Analysis
from techsapo_ops.wallbounce.calibration import model_set
from techsapo_ops.wallbounce.grades import Objection, Review
from techsapo_ops.wallbounce.verdict import CONTRADICTED


def examination(analysis: Analysis) -> dict[str, Any]:
    """See EvidenceBody and the bodies after it."""
    verdict = analysis.verdict
    return {
        "evidence": {
            "tier": analysis.tier,
            "models": list(model_set([a.model for a in analysis.answers])),
            "agreement": round(verdict.agreement, 4),
            "grade": round(verdict.grade, 4),
            "contradicted": CONTRADICTED in verdict.notes,
            "uncapped": round(verdict.uncapped, 4),
        },
        "grades": [_review(r) for r in analysis.reviews],
        "unsettled": [_objection(o) for o in analysis.unsettled],
        "dissent": [
            {"provider": d.provider, "root_cause": d.root_cause, "grade": round(d.grade, 4)}
            for d in analysis.dissent
        ],
        "amendments": [{"provider": a.provider, "claim": a.claim} for a in analysis.amendments],
        "destructive": [{"command": d.command, "kind": d.kind, "why": d.why} for d in analysis.destructive],
        "bounces": [
            {
                "round": b.round,
                "provider": b.provider,
                "claims": list(b.claims),
                "before": round(b.before, 4),
                "after": None if b.after is None else round(b.after, 4),
                "kept": b.kept,
            }
            for b in analysis.bounces
        ],
        "escalations": [
            {"reason": e.reason, "tier": e.tier, "providers": list(e.providers)} for e in analysis.escalations
        ],
        "hypotheses": [
            {
                "cause": h.cause,
                "providers": list(h.providers),
                "grade": round(h.grade, 4),
                "checks": list(h.checks),
            }
            for h in analysis.hypotheses
        ],
    }


def _review(review: Review) -> dict[str, Any]:
    grade = review.grade
    stances = [str(c.stance) for c in grade.claims]
    return {
        "grader": review.grader,
        "subject": review.subject,
        "mean": round(grade.mean, 4),
        **{
            name: {"score": score.value, "evidence": score.evidence}
            for name, score in (
                ("correctness", grade.correctness),
                ("safety", grade.safety),
                ("completeness", grade.completeness),
            )
        },
        **{stance: stances.count(stance) for stance in ("entails", "contradicts", "silent")},
    }


def _objection(objection: Objection) -> dict[str, Any]:
    return {
        "claim": objection.claim,
        "critical": objection.critical,
        "against": [{"provider": name, "evidence": evidence} for name, evidence in objection.against],
    }
