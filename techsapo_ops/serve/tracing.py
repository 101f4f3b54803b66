"""Traces of requests and analyses: here what leaves none, in `otel_tracing` what does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import Scope

from techsapo_ops.wallbounce.context import Payer
from techsapo_ops.wallbounce.events import Observer
from techsapo_ops.wallbounce.tiers import TaskType


class RequestTrace:
    """The trace of one request; this one is none."""

    def ended(self, route: str | None, status: int, told: int = 0) -> None:
        """It was answered with `status` by `route`, a template and no path; None where there is none.

        `told` is the status of the problem that a stream told of after its own status.
        """


class AnalysisTrace:
    """The trace of one analysis; this one is none."""

    def hearing(self, hear: Observer) -> Observer:
        """`hear`, with what it hears put into the trace."""
        return hear

    def payer(self, payer: Payer) -> Payer:
        """`payer`, with each call that it books put into the trace."""
        return payer


_REQUEST, _ANALYSIS = RequestTrace(), AnalysisTrace()


class Tracing:
    """Leaves no traces."""

    def request(self, scope: Scope, request_id: str) -> RequestTrace:  # noqa: ARG002 - nothing is traced
        """Begin the trace of a request, and make it that of the work at hand."""
        return _REQUEST

    @contextmanager
    def analysis(self, task_type: TaskType, request_id: str) -> Iterator[AnalysisTrace]:  # noqa: ARG002
        """The trace of an analysis, which is what happens in the block."""
        yield _ANALYSIS

    def close(self) -> None:
        """Send what waits, within a bound. Blocks."""


UNTRACED = Tracing()
