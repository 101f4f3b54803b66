"""Which traces the spec asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from techsapo_ops.adapters.extras import OTEL_HINT, OTEL_LACKING, has_otel
from techsapo_ops.serve.instance import Instance
from techsapo_ops.serve.tracing import UNTRACED, Tracing
from techsapo_ops.spec.models import Spec
from techsapo_ops.wallbounce.provider import Provider

log = structlog.get_logger()


def tracing_of(
    spec: Spec,
    instance: Instance,
    providers: Sequence[Provider],
    count: Callable[[str, int], None],
) -> Tracing:
    """The traces of `spec`: none where it names no collector, or where the extra `otel` is missing.

    `count` is told what became of spans, and of how many. Nothing is imported while there are none.
    """
    settings = spec.app.tracing
    if settings is None:
        return UNTRACED
    if not has_otel():
        log.warning(f"Nothing is traced: {OTEL_LACKING}", hint=OTEL_HINT)
        return UNTRACED
    from techsapo_ops.adapters.otlp import SpanSender
    from techsapo_ops.serve.otel_tracing import OtelTracing
    from techsapo_ops.serve.span_queue import SpanQueue

    headers = {name: value.reveal() for name, value in (settings.headers or {}).items()}
    spans = SpanQueue(SpanSender(settings.endpoint, headers), count)
    return OtelTracing(spec, instance, providers, spans)
