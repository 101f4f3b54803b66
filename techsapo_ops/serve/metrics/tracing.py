"""Traces of requests and analyses: here what leaves none, in `otel_tracing` what does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.types import Scope

from techsapo_ops.wallbounce.context import Observer, nobody
from techsapo_ops.wallbounce.question import TaskType


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


class RequestTrace:
    """The trace of one request; this one is none."""

    def ended(self, route: str | None, status: int, problem_status: int = 0) -> None:
        """It was answered with `status` by `route`, a template and no path; None where there is none.

        `problem_status` is that of a problem which a stream reported after its own status.
        """


_REQUEST = RequestTrace()


class Tracing:
    """Leaves no traces."""

    def request(self, scope: Scope, request_id: str) -> RequestTrace:  # noqa: ARG002 - nothing is traced
        """Begin the trace of a request, and make it that of the work at hand."""
        return _REQUEST

    @contextmanager
    def analysis(self, task_type: TaskType, request_id: str) -> Iterator[Observer]:  # noqa: ARG002
        """What puts the events of an analysis, which is what happens in the block, into its trace."""
        yield nobody

    def close(self) -> None:
        """Send what waits, within a bound. Blocks."""


UNTRACED = Tracing()
