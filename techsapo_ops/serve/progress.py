"""Events of an analysis as a client sees them while it is under way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from techsapo_ops.stores.flights import Flight
from techsapo_ops.wallbounce.events import (
    Answered,
    Bounced,
    Escalated,
    Event,
    Failed,
    Graded,
    Revised,
)


@dataclass(slots=True)
class _Line:
    """The line to a flight; cut when the analysis is over."""

    flight: Flight[Any, Event] | None


_line: ContextVar[_Line | None] = ContextVar("line", default=None)

Told = dict[str, Any]
"""An event as a client is told of it."""


@contextmanager
def told_to(flight: Flight[Any, Event]) -> Iterator[None]:
    """Let what the present task, and tasks that it starts, hear of be told to `flight` within the block.

    Nothing must keep the flight beyond it. The task would make a circle, since the flight keeps the task: it
    is freed only by the garbage collector, and a server under load makes thousands. A connection to a vendor
    keeps the context that it was opened in for as long as it is pooled; hence the line that can be cut.
    """
    line = _Line(flight)
    token = _line.set(line)
    try:
        yield
    finally:
        line.flight = None
        _line.reset(token)


def hear(event: Event) -> None:
    """Tell the flight whose analysis this is. An observer of the orchestrator."""
    line = _line.get()
    if line is not None and line.flight is not None:
        line.flight.tell(event)


def as_document(event: Event) -> Told | None:
    """`event` as JSON with its name under `event`; None for what clients are not told."""
    match event:
        case Answered(answer=a) | Revised(answer=a):
            return {
                "event": "answered" if isinstance(event, Answered) else "revised",
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
                    {"subject": name, "grade": round(grade.mean, 4)}
                    for name, grade in zip(subjects, g.grades, strict=True)
                ],
                "seconds": round(g.seconds, 3),
                "cost_usd": round(g.cost_usd, 9),
            }
        case Bounced(bounce=b):
            return {
                "event": "bounced",
                "round": b.round,
                "provider": b.provider,
                "claims": list(b.claims),
                "before": round(b.before, 4),
                "after": None if b.after is None else round(b.after, 4),
                "kept": b.kept,
            }
        case Escalated(escalation=e):
            return {
                "event": "escalated",
                "reason": e.reason,
                "tier": e.tier,
                "providers": list(e.providers),
            }
        case Failed(failure=f, phase=phase):
            return {
                "event": "failed",
                "provider": f.provider,
                "model": f.model,
                "phase": phase,
                "kind": str(f.kind),
                "message": f.message,
            }
        case _:
            return None
