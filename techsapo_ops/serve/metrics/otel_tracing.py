"""Traces by OpenTelemetry: a span for each request, analysis, phase and call, by its semantic conventions.

No text of a question or an answer is in them, and no key. Names and attributes: decision 9.
"""

from __future__ import annotations

import asyncio
import ipaddress
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import Scope
from typing_extensions import override

from techsapo_ops.catalogue.vendors import genai_provider
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.serve.instance import Instance
from techsapo_ops.serve.metrics.stream import SSE_PATH
from techsapo_ops.serve.metrics.tracing import TRACE, RequestTrace, TraceIds, Tracing
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import ATTACHED
from techsapo_ops.wallbounce.analysis import AnalysisError
from techsapo_ops.wallbounce.context import (
    Abandoned,
    Began,
    Charge,
    Charged,
    Escalated,
    Event,
    Observer,
    Phase,
    SatIn,
    Settled,
    nobody,
)
from techsapo_ops.wallbounce.providers.provider import Provider
from techsapo_ops.wallbounce.question import TaskType

_PHASES: Mapping[Phase, str] = {"answer": "asking", "grade": "grading", "revise": "bouncing"}
_BILLION = 1_000_000_000

Attributes = Mapping[str, str | int | float | bool | Sequence[str]]


class AnalysisSpans:
    """The spans of one analysis: its phases follow one another, calls go on within them at once."""

    def __init__(self, tracer: trace.Tracer, span: Span, callees: Mapping[str, Attributes]) -> None:
        self._tracer = tracer
        self._span = span
        self._callees = callees
        self._within = trace.set_span_in_context(span, Context())
        self._phases: dict[str, Span] = {}
        self._phase: Span | None = None

    def record(self, event: Event) -> None:
        """Put an event of the analysis into the trace."""
        match event:
            case Began(phase=phase, providers=asked):
                self._begin(_PHASES[phase], asked)
            case SatIn(failure=failure, spare=spare) if self._phase is not None:
                self._phase.add_event(
                    "spare", {"techsapo.provider": spare, "techsapo.instead_of": failure.provider}
                )
            case Escalated(escalation=made):
                self._span.add_event(
                    "escalation",
                    {"techsapo.reason": made.reason, "techsapo.tier": made.tier},
                )
            case Settled(analysis=analysis):
                verdict = analysis.verdict
                self._span.set_attributes(
                    {
                        "techsapo.outcome": str(verdict.outcome),
                        "techsapo.confidence": verdict.confidence,
                        "techsapo.tier": analysis.tier,
                        "techsapo.bounces": len(analysis.bounces),
                        "techsapo.cost_usd": analysis.cost_usd,
                        "techsapo.simulated": analysis.simulated,
                    }
                )
                if verdict.consensus is not None:
                    self._span.set_attribute("techsapo.consensus", verdict.consensus)
            case Charged(charge=charge):
                self._called(charge)
            case Abandoned(error=error):
                failed(self._span, error.code)
            case _:
                pass

    def _begin(self, name: str, providers: Sequence[str]) -> None:
        self._end_phase()
        span = self._tracer.start_span(
            name, context=self._within, attributes={"techsapo.providers": tuple(providers)}
        )
        self._phase = self._phases[name] = span

    def _end_phase(self) -> None:
        if self._phase is not None:
            self._phase.end()
            self._phase = None

    def _called(self, charge: Charge) -> None:
        """A call has ended: one attempt at a vendor, whose start is told by what it took."""
        now = time.time_ns()
        phase = self._phases.get(_PHASES[charge.phase], self._span)
        tokens = charge.tokens
        attributes: dict[str, str | int | float | bool | Sequence[str]] = {
            **self._callees.get(charge.provider, {}),
            "gen_ai.usage.input_tokens": tokens.input,
            "gen_ai.usage.output_tokens": tokens.output,
            "techsapo.provider": charge.provider,
            "techsapo.phase": charge.phase,
        }
        parts = {
            "gen_ai.usage.cache_read.input_tokens": tokens.cached,
            "gen_ai.usage.cache_creation.input_tokens": tokens.cache_written,
            "gen_ai.usage.reasoning.output_tokens": tokens.thinking,
        }
        attributes |= {name: count for name, count in parts.items() if count}
        if charge.cost_usd is not None:
            attributes["techsapo.cost_usd"] = charge.cost_usd
        span = self._tracer.start_span(
            f"chat {charge.model}",
            context=trace.set_span_in_context(phase, Context()),
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=now - int(charge.seconds * _BILLION),
        )
        if charge.status != "success":
            failed(span, charge.status)
        span.end(now)

    def ended(self) -> None:
        """End the phase that is under way, and the analysis."""
        self._end_phase()
        self._span.end()


def callee(provider: Provider, spec: Spec) -> Attributes:
    """What is known of a provider before it is called."""
    attributes: dict[str, str | int] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": genai_provider(provider.kind),
        "gen_ai.request.model": provider.model,
        "gen_ai.request.max_tokens": provider.max_output_tokens,
    }
    address = urlsplit(getattr(spec.providers.get(provider.name), "base_url", None) or "")
    if address.hostname:
        attributes["server.address"] = address.hostname
        attributes["server.port"] = address.port or (443 if address.scheme == "https" else 80)
    return attributes


def failed(span: Span, error_type: str) -> None:
    """Mark `span` as failed; an error's own words may repeat what somebody asked, so they stay here."""
    span.set_attribute("error.type", error_type)
    span.set_status(StatusCode.ERROR)


SCHEMA = "https://opentelemetry.io/schemas/1.41.0"
"""The last one with the names of both HTTP and generative AI, which have a repository of their own since."""
WORKFLOW = "wall-bounce"
FLUSH = 3.0
"""Seconds that what waits at the end has to get away."""
_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
_UNTRACED = frozenset({"/health", "/api/v1/health", "/ping", "/metrics", SSE_PATH})
"""Paths that are asked by machines for ever, or answered for hours."""


class OtelTracing(Tracing):
    """Leaves traces with `spans`, which are those of `spec.app.tracing`."""

    def __init__(
        self,
        spec: Spec,
        instance: Instance,
        providers: Sequence[Provider],
        spans: SpanProcessor,
    ) -> None:
        settings = spec.app.tracing
        if settings is None:
            raise OpsError(msg("app.tracing is not set"))
        self._trusted = [ipaddress.ip_network(n) for n in settings.trusted_networks if n != ATTACHED]
        self._callees = {p.name: callee(p, spec) for p in providers}
        self._propagator = TraceContextTextMapPropagator()
        resource = Resource.create(
            {
                "service.name": "techsapo",
                "service.namespace": spec.project,
                "service.instance.id": instance.name,
                "service.version": instance.version,
            }
        )
        # Not the global one: libraries that look for it would add spans with paths and errors of theirs.
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(settings.sample)), resource=resource, shutdown_on_exit=False
        )
        self._provider.add_span_processor(spans)
        self._tracer = self._provider.get_tracer("techsapo_ops", instance.version, schema_url=SCHEMA)

    @override
    def request(self, scope: Scope, request_id: str) -> RequestTrace:
        if scope["type"] != "http" or scope["path"] in _UNTRACED:
            TRACE.set(None)
            return RequestTrace()
        parent, links = self._from_elsewhere(scope)
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        span = self._tracer.start_span(
            method if method != "_OTHER" else "HTTP",
            context=parent,
            kind=SpanKind.SERVER,
            attributes={
                "http.request.method": method,
                "url.scheme": scope.get("scheme", "http"),
                "techsapo.request_id": request_id,
            },
            links=links,
        )
        TRACE.set(_ids(span))
        return _Request(span, method)

    def _from_elsewhere(self, scope: Scope) -> tuple[Context, list[Link]]:
        """What a request says it is part of: believed as the parent, or no more than linked to.

        Who is believed decides whether we record, and in whose trace; so nobody is who is not named.
        """
        carrier = {k.decode("ascii"): v.decode("latin-1") for k, v in scope["headers"] if k in _CARRIED}
        nothing = Context()
        if not carrier:
            return nothing, []
        extracted = self._propagator.extract(carrier, nothing)
        other = trace.get_current_span(extracted).get_span_context()
        if not other.is_valid:
            return nothing, []
        if self._believes(scope):
            return extracted, []
        # Without its state, which anybody may fill.
        return nothing, [Link(SpanContext(other.trace_id, other.span_id, is_remote=True))]

    def _believes(self, scope: Scope) -> bool:
        try:
            address = ipaddress.ip_address(scope["state"]["client"])
        except ValueError:
            return False
        return any(address in network for network in self._trusted)

    @contextmanager
    @override
    def analysis(self, task_type: TaskType, request_id: str) -> Iterator[Observer]:
        span = self._tracer.start_span(
            f"invoke_workflow {WORKFLOW}",
            context=_context_of(TRACE.get()),
            attributes={
                "gen_ai.operation.name": "invoke_workflow",
                "gen_ai.workflow.name": WORKFLOW,
                "techsapo.task_type": task_type,
                "techsapo.request_id": request_id,
            },
        )
        analysis = AnalysisSpans(self._tracer, span, self._callees)
        try:
            yield analysis.record if span.is_recording() else nobody
        except BaseException as error:
            failed(span, _error_type(error))
            raise
        finally:
            analysis.ended()

    @override
    def close(self) -> None:
        # The SDK itself would wait for half a minute for a collector that does not answer.
        flush = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        flush.start()
        flush.join(FLUSH)


class _Request(RequestTrace):
    def __init__(self, span: Span, method: str) -> None:
        self._span = span
        self._method = method

    @override
    def ended(self, route: str | None, status: int, problem_status: int = 0) -> None:
        span = self._span
        if route is not None:
            span.update_name(f"{self._method} {route}")
            span.set_attribute("http.route", route)
        # The path itself is a client's to choose, and may hold what only its owner is to know.
        span.set_attribute("url.path", route if route is not None and "{" not in route else "REDACTED")
        span.set_attribute("http.response.status_code", status)
        if max(status, problem_status) >= 500:
            failed(span, str(max(status, problem_status)))
        span.end()


_CARRIED = (b"traceparent", b"tracestate")


def _ids(span: Span) -> TraceIds:
    own = span.get_span_context()
    return TraceIds(
        trace.format_trace_id(own.trace_id), trace.format_span_id(own.span_id), own.trace_flags.sampled
    )


def _context_of(ids: TraceIds | None) -> Context:
    if ids is None:
        return Context()
    flags = TraceFlags(TraceFlags.SAMPLED if ids.sampled else TraceFlags.DEFAULT)
    own = SpanContext(int(ids.trace_id, 16), int(ids.span_id, 16), is_remote=False, trace_flags=flags)
    return trace.set_span_in_context(NonRecordingSpan(own), Context())


def _error_type(error: BaseException) -> str:
    if isinstance(error, (AnalysisError, Problem)):
        return str(error.code)
    return "cancelled" if isinstance(error, asyncio.CancelledError) else type(error).__name__
