"""Sends spans to an OpenTelemetry collector, by OTLP over HTTP. Needs the extra `otel`."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

import requests
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from techsapo_ops.messages import msg

PATH = "/v1/traces"
TIMEOUT = 5.0
"""Seconds within which a batch must be taken, further attempts included."""
WAITING = 4096
"""Most spans that wait; of more the oldest are dropped. An analysis has some ten of them, of 1 KB each."""
BATCH = 512
"""Most spans of one export."""
DELAY = 2.0
"""Seconds until spans are sent that are fewer than a batch."""


def span_processor(endpoint: str, headers: Mapping[str, str]) -> BatchSpanProcessor:
    """What sends ended spans to the collector at `endpoint`, from a thread of its own: nobody waits for it.

    The SDK logs what the collector does not take.
    """
    base = endpoint.rstrip("/")
    exporter = OTLPSpanExporter(
        endpoint=base if base.endswith(PATH) else base + PATH,
        headers=headers,
        timeout=TIMEOUT,
        compression=Compression.Gzip,
        certificate_file=_authorities(),
        session=_session(),
    )
    return BatchSpanProcessor(
        exporter,
        max_queue_size=WAITING,
        schedule_delay_millis=DELAY * 1000,
        max_export_batch_size=BATCH,
    )


def _session() -> requests.Session:
    """Asks the address that it is given, whatever variables of the environment say."""
    session = requests.Session()
    session.trust_env = False
    session.hooks["response"].append(_refuse_redirect)
    return session


def _refuse_redirect(response: requests.Response, *_args: object, **_options: object) -> None:
    """Raise for what the exporter would take for success."""
    if response.is_redirect:
        raise requests.RequestException(
            msg(
                "the server answers {status} and redirects to {where}: use that address",
                status=response.status_code,
                where=response.headers["location"],
            )
        )


def _authorities() -> str | None:
    """The system's certificate authorities, as for all else that is asked; `requests` brings its own."""
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath
