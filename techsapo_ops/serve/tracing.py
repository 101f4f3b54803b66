"""Traces of requests and analyses: which the spec asks for, and what leaves none; `otel_tracing` does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import structlog
from starlette.types import Scope

from techsapo_ops.adapters.extras import OTEL_HINT, OTEL_LACKING, has_otel
from techsapo_ops.serve.instance import Instance
from techsapo_ops.spec.models import Spec
from techsapo_ops.wallbounce.context import Payer
from techsapo_ops.wallbounce.events import Observer
from techsapo_ops.wallbounce.provider import Provider
from techsapo_ops.wallbounce.tiers import TaskType

log = structlog.get_logger()


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


def tracing_of(spec: Spec, instance: Instance, providers: Sequence[Provider]) -> Tracing:
    """The traces of `spec`: none where it names no collector, or where the extra `otel` is missing.

    Nothing is imported while there are none.
    """
    settings = spec.app.tracing
    if settings is None:
        return UNTRACED
    if not has_otel():
        log.warning(f"Nothing is traced: {OTEL_LACKING}", hint=OTEL_HINT)
        return UNTRACED
    from techsapo_ops.adapters.otlp import span_processor
    from techsapo_ops.serve.otel_tracing import OtelTracing

    headers = {name: value.reveal() for name, value in (settings.headers or {}).items()}
    return OtelTracing(spec, instance, providers, span_processor(settings.endpoint, headers))
