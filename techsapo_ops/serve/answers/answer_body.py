"""From an analysis to what a client reads: the events under way, the answer's document, or a problem."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from techsapo_ops.catalogue.checks import checks_about
from techsapo_ops.serve.answers.metering import Account
from techsapo_ops.serve.bodies.base import Document, rounded
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.wallbounce.analysis import Analysis, AnalysisError
from techsapo_ops.wallbounce.answers import Objection, Review, Score, Stance, Tokens
from techsapo_ops.wallbounce.context import (
    Answered,
    AskedAgain,
    Began,
    Bounced,
    Escalated,
    Event,
    Failed,
    Graded,
    Phase,
    SatIn,
    Settled,
)
from techsapo_ops.wallbounce.orchestrator import WallBounce
from techsapo_ops.wallbounce.providers.failures import Failure
from techsapo_ops.wallbounce.verdict.calibration import model_set
from techsapo_ops.wallbounce.verdict.commands import Dangerous
from techsapo_ops.wallbounce.verdict.record import RECORD, record_of
from techsapo_ops.wallbounce.verdict.verdict import CONTRADICTED


def answer_document(
    analysis: Analysis, wallbounce: WallBounce, request_id: str, account: Account
) -> Document:
    """The answer's document, as AnswerBody tells of it, but for its time and what was masked. Costs are what
    `account` was charged: every call of a provider, and the worst case of one that was cut off.

    It is made as the plain data that is stored and sent: a model of it would be taken apart again at once.
    """
    rule, language = wallbounce.rule(analysis.tier), analysis.question.language
    verdict = analysis.verdict
    notes = list(verdict.notes)
    if len(analysis.voices) + len(analysis.failures) < rule.providers:
        notes.append("fewer_providers_than_the_tier_asks_for")
    if account.uncertain or not all(p.price.known for p in wallbounce.chosen(analysis.task_type)):
        notes.append("cost_is_a_worst_case")
    return {
        "request_id": request_id,
        "task_type": analysis.task_type,
        "language": language,
        "answer": analysis.text,
        "answered_by": analysis.answer.provider,
        "root_cause": analysis.answer.root_cause,
        "commands": list(analysis.answer.commands),
        "tier": analysis.tier,
        "outcome": str(verdict.outcome),
        "accepted": verdict.accepted,
        "confidence": round(verdict.confidence, 4),
        "consensus": rounded(verdict.consensus),
        "thresholds": {"confidence": rule.confidence, "consensus": rule.consensus},
        "calibrated": verdict.calibrated,
        "provisional": not verdict.calibrated,
        "simulated": analysis.simulated,
        "notes": notes,
        "providers": _providers(analysis, account.by_provider()),
        "evidence": _evidence(analysis),
        "panel": RECORD.dump_python(record_of(analysis, rule), mode="json"),
        "checks": [
            {
                "command": shlex.join(check.argv),
                "tells": check.tells[language],
                "reads": check.reads[language],
            }
            for check in checks_about(analysis.text)
        ],
        "grades": [_grade(r) for r in analysis.reviews],
        "unsettled": [_unsettled(o) for o in analysis.unsettled],
        "dissent": [{**asdict(d), "grade": rounded(d.grade)} for d in analysis.dissent],
        "amendments": [asdict(a) for a in analysis.amendments],
        "destructive": [_dangerous(d) for d in analysis.destructive],
        "hazards": [_dangerous(d) for d in analysis.hazards],
        "bounces": [
            {**asdict(b), "before": rounded(b.before), "after": rounded(b.after)} for b in analysis.bounces
        ],
        "escalations": [asdict(e) for e in analysis.escalations],
        "hypotheses": [{**asdict(h), "grade": rounded(h.grade)} for h in analysis.hypotheses],
        "sources": [
            {"file": s.file, "heading": s.heading, "cited": s.file in analysis.text}
            for s in analysis.question.sources
        ],
        "cost_usd": round(account.spent_usd, 9),
        "tokens": _tokens(account.tokens),
        "processing_ms": 0,
        "cache": "miss",
        "masked": {},
    }


def _providers(analysis: Analysis, costs: Mapping[str, float]) -> list[Document]:
    answered = [
        {
            "name": a.provider,
            "model": a.model,
            "status": "answered",
            "answer": a.text,
            "grade": rounded(analysis.grade_of(a.provider)),
            "agrees": analysis.verdict.relations[i],
            "self_confidence": a.self_confidence,
            "seconds": round(a.seconds, 3),
            "cost_usd": round(costs.get(a.provider, 0.0), 9),
            "tokens": _tokens(a.tokens),
        }
        for i, a in enumerate(analysis.answers)
    ]
    return answered + [failed_provider(f, costs.get(f.provider, 0.0)) for f in analysis.failures]


def _tokens(tokens: Tokens) -> Document:
    return {
        "input": tokens.input,
        "output": tokens.output,
        "cached": tokens.cached,
        "cache_written": tokens.cache_written,
        "thinking": tokens.thinking,
    }


def failed_provider(failure: Failure, cost_usd: float) -> Document:
    """The part of a provider that gave no answer."""
    return {
        "name": failure.provider,
        "model": failure.model,
        "status": "failed",
        "seconds": round(failure.seconds, 3),
        "cost_usd": round(cost_usd, 9),
        "error": {"kind": str(failure.kind), "cause": str(failure.cause), "message": failure.message},
    }


def _evidence(analysis: Analysis) -> Document:
    verdict = analysis.verdict
    return {
        "tier": analysis.tier,
        "models": list(model_set([model for _, model, _ in analysis.voices])),
        "agreement": round(verdict.agreement, 4),
        "grade": round(verdict.grade, 4),
        "contradicted": CONTRADICTED in verdict.notes,
        "uncapped": round(verdict.uncapped, 4),
        "complete": "grading_incomplete" not in verdict.notes,
        "low": rounded(verdict.estimate.low if verdict.estimate else None),
        "high": rounded(verdict.estimate.high if verdict.estimate else None),
        "labels": verdict.estimate.labels if verdict.estimate else 0,
    }


def _grade(review: Review) -> Document:
    grade = review.grade
    stances = grade.stances
    return {
        "grader": review.grader,
        "subject": review.subject,
        "mean": rounded(grade.mean),
        "correctness": _score(grade.correctness),
        "safety": _score(grade.safety),
        "completeness": _score(grade.completeness),
        "entails": stances.count(Stance.ENTAILS),
        "contradicts": stances.count(Stance.CONTRADICTS),
        "silent": stances.count(Stance.SILENT),
        "absent": stances.count(None),
    }


def _score(score: Score | None) -> Document | None:
    return None if score is None else {"score": score.value, "evidence": score.evidence}


def _unsettled(objection: Objection) -> Document:
    against = [{"provider": name, "evidence": evidence} for name, evidence in objection.against]
    return {"claim": objection.claim, "critical": objection.critical, "against": against}


def _dangerous(danger: Dangerous) -> Document:
    return {"command": danger.command, "kind": danger.kind, "why": danger.why, "effect": danger.effect}


def problem_of(error: AnalysisError) -> Problem:
    """The problem of an analysis that did not come about."""
    if error.code == "over_request_budget":
        return Problem(402, "over_request_budget", error.message)
    if error.code == "no_provider":
        return Problem(503, "no_provider", error.message, retry_after=error.retry_after)
    kinds = {str(f.kind) for f in error.failures}
    return Problem(
        504 if kinds == {"timeout"} else 503 if kinds <= {"rate_limited"} else 502,
        "timeout" if kinds == {"timeout"} else "providers_failed",
        error.message,
        retry_after=error.retry_after,
        providers=[failed_provider(f, f.cost_usd) for f in error.failures],
    )


ProgressEvent = dict[str, Any]
"""An event as clients see it."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Another instance is at the same question, and its answer is waited for."""


Step = Event | Elsewhere
_PHASES: Mapping[Phase, str] = {"answer": "asked", "grade": "grading", "revise": "bouncing"}


def as_document(event: Step) -> ProgressEvent | None:
    """`event` as JSON with its name under `event`; None for an event that clients do not get."""
    match event:
        case Elsewhere():
            return {"event": "waiting"}
        case Began(phase=phase, providers=names):
            return {"event": _PHASES[phase], "providers": list(names)}
        case Answered(answer=a, phase=phase):
            return {
                "event": "answered" if phase == "answer" else "revised",
                "provider": a.provider,
                "model": a.model,
                "answer": a.text,
                "self_confidence": a.self_confidence,
                "seconds": round(a.seconds, 3),
                "cost_usd": round(a.cost_usd, 9),
            }
        case Graded(grades=g, subjects=subjects):
            return {
                "event": "graded",
                "provider": g.provider,
                "grades": [
                    {"subject": name, "grade": rounded(grade.mean)}
                    for name, grade in zip(subjects, g.grades, strict=True)
                ],
                "seconds": round(g.seconds, 3),
                "cost_usd": round(g.cost_usd, 9),
            }
        case AskedAgain(provider=provider, subjects=subjects):
            return {"event": "asked_again", "provider": provider, "subjects": list(subjects)}
        case Bounced(bounce=b):
            return {
                "event": "bounced",
                "round": b.round,
                "provider": b.provider,
                "claims": list(b.claims),
                "before": rounded(b.before),
                "after": rounded(b.after),
                "kept": b.kept,
            }
        case Escalated(escalation=e):
            return {
                "event": "escalated",
                "reason": e.reason,
                "tier": e.tier,
                "providers": list(e.providers),
            }
        case SatIn(failure=f, spare=spare):
            return {"event": "sat_in", "provider": spare, "instead_of": f.provider, "cause": str(f.cause)}
        case Failed(failure=f, phase=phase):
            return {
                "event": "failed",
                "provider": f.provider,
                "model": f.model,
                "phase": phase,
                "kind": str(f.kind),
                "cause": str(f.cause),
                "message": f.message,
                "cost_usd": round(f.cost_usd, 9),
            }
        case Settled(analysis=analysis):
            verdict = analysis.verdict
            return {
                "event": "settled",
                "tier": analysis.tier,
                "outcome": str(verdict.outcome),
                "confidence": round(verdict.confidence, 4),
                "consensus": rounded(verdict.consensus),
            }
        case _:
            return None
