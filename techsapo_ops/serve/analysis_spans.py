"""The spans of an analysis: its phases, and each call to a vendor within them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode
from typing_extensions import override

from techsapo_ops.catalogue.vendors import genai_provider
from techsapo_ops.serve.tracing import AnalysisTrace
from techsapo_ops.spec.models import Spec
from techsapo_ops.wallbounce.context import Charge, Payer
from techsapo_ops.wallbounce.events import (
    Abandoned,
    Asked,
    Bouncing,
    Escalated,
    Event,
    Grading,
    Observer,
    Phase,
    SatIn,
    Settled,
)
from techsapo_ops.wallbounce.provider import Provider

_PHASES: Mapping[type[Event], str] = {Asked: "asking", Grading: "grading", Bouncing: "bouncing"}
_PHASE_OF: Mapping[Phase, str] = {"answer": "asking", "grade": "grading", "revise": "bouncing"}
_BILLION = 1_000_000_000

Attributes = Mapping[str, str | int | float | bool | Sequence[str]]


class AnalysisSpans(AnalysisTrace):
    """The spans of one analysis: its phases follow one another, calls go on within them at once."""

    def __init__(self, tracer: trace.Tracer, span: Span, callees: Mapping[str, Attributes]) -> None:
        self._tracer = tracer
        self._span = span
        self._callees = callees
        self._within = trace.set_span_in_context(span, Context())
        self._phases: dict[str, Span] = {}
        self._phase: Span | None = None

    @override
    def hearing(self, hear: Observer) -> Observer:
        def both(event: Event) -> None:
            self._heard(event)
            hear(event)

        return both if self._span.is_recording() else hear

    @override
    def payer(self, payer: Payer) -> Payer:
        return _TracedPayer(payer, self) if self._span.is_recording() else payer

    def _heard(self, event: Event) -> None:
        match event:
            case Asked(providers=asked) | Grading(providers=asked) | Bouncing(providers=asked):
                self._begin(_PHASES[type(event)], asked)
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

    def called(self, charge: Charge) -> None:
        """A call has ended: one attempt at a vendor, whose start is told by what it took."""
        now = time.time_ns()
        phase = self._phases.get(_PHASE_OF[charge.phase], self._span)
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


class _TracedPayer:
    """A payer whose calls are put into a trace as they are booked."""

    def __init__(self, payer: Payer, analysis: AnalysisSpans) -> None:
        self._payer = payer
        self._analysis = analysis

    async def afford(self, usd: float) -> bool:
        """Whether so much more may be spent."""
        return await self._payer.afford(usd)

    async def hold(self, usd: float) -> int:
        """Set `usd` aside for a call."""
        return await self._payer.hold(usd)

    def book(self, held: int, charge: Charge) -> None:
        """Book a call, and put it into the trace."""
        self._payer.book(held, charge)
        self._analysis.called(charge)


def callee(provider: Provider, spec: Spec) -> Attributes:
    """What is known of a provider before it is called."""
    found: dict[str, str | int] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": genai_provider(provider.kind),
        "gen_ai.request.model": provider.model,
        "gen_ai.request.max_tokens": provider.max_output_tokens,
    }
    address = urlsplit(getattr(spec.providers.get(provider.name), "base_url", None) or "")
    if address.hostname:
        found["server.address"] = address.hostname
        found["server.port"] = address.port or (443 if address.scheme == "https" else 80)
    return found


def failed(span: Span, error_type: str) -> None:
    """Mark `span` as failed; an error's own words may repeat what somebody asked, so they stay here."""
    span.set_attribute("error.type", error_type)
    span.set_status(StatusCode.ERROR)
