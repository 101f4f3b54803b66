"""Events of an analysis as a client sees them while it is under way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from techsapo_ops.serve.bodies.base import rounded
from techsapo_ops.wallbounce.events import (
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

ProgressEvent = dict[str, Any]
"""An event as a client is told of it."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Another instance is at the same question, and its answer is waited for."""


Step = Event | Elsewhere
_PHASES: Mapping[Phase, str] = {"answer": "asked", "grade": "grading", "revise": "bouncing"}


def as_document(event: Step) -> ProgressEvent | None:
    """`event` as JSON with its name under `event`; None for what clients are not told."""
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
