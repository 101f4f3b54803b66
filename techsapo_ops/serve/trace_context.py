"""Which trace the work at hand belongs to, for log lines and exemplars. It knows no OpenTelemetry."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import structlog


@dataclass(frozen=True, slots=True)
class TraceIds:
    """A span by its ids, hexadecimal, and whether its trace is recorded.

    No more than that is kept in a context variable: a pooled connection keeps those of who opened it.
    """

    trace_id: str
    span_id: str
    sampled: bool


TRACE: ContextVar[TraceIds | None] = ContextVar("techsapo_trace", default=None)
"""That of the request which is answered; None where nothing is traced."""


def with_trace(_logger: Any, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """A log line with the ids of its trace, under the names that OpenTelemetry gives them in JSON."""
    trace = TRACE.get()
    if trace is not None:
        event["trace_id"], event["span_id"] = trace.trace_id, trace.span_id
    return event


def exemplar_ids() -> dict[str, str]:
    """What leads from a bucket of a histogram to the trace; nothing where there is none to be found."""
    trace = TRACE.get()
    return {} if trace is None or not trace.sampled else {"trace_id": trace.trace_id}
