"""Sends spans to an OpenTelemetry collector, by OTLP over HTTP. Needs the extra `otel`."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from typing_extensions import override
from urllib3.exceptions import HTTPError

from techsapo_ops.adapters.http import BODY_LIMIT
from techsapo_ops.messages import msg

PATH = "/v1/traces"
TIMEOUT = 5.0
"""Seconds within which a batch must be taken, further attempts included."""


@dataclass(frozen=True, slots=True)
class Sent:
    """How a batch fared: how many spans the collector has, and why not all of them."""

    taken: int
    error: str = ""


class SpanSender:
    """Sends batches to the collector at `endpoint`; whoever calls waits."""

    def __init__(self, endpoint: str, headers: Mapping[str, str], timeout: float = TIMEOUT) -> None:
        self._words = _LastWords()
        self._session = _Session()
        base = endpoint.rstrip("/")
        self._exporter = OTLPSpanExporter(
            endpoint=base if base.endswith(PATH) else base + PATH,
            headers=headers,
            timeout=timeout,
            compression=Compression.Gzip,
            certificate_file=_authorities(),
            session=self._session,
        )

    def send(self, spans: Sequence[ReadableSpan]) -> Sent:
        """Send `spans`. Never raises: what the collector does is nobody's fault who is traced."""
        self._words.last, self._session.refused, self._session.told = "", 0, ""
        if self._exporter.export(spans) is not SpanExportResult.SUCCESS:
            return Sent(0, self._words.last or msg("no reason was given"))
        refused = min(self._session.refused, len(spans))
        return Sent(len(spans) - refused, self._session.told or msg("it refused some") if refused else "")

    def close(self) -> None:
        """End what is under way, and its wait for a further attempt."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call] # the library leaves it without types
        self._words.close()


class _Session(requests.Session):
    """Asks the address that it is given, whatever variables of the environment say, and reads the replies:
    the exporter takes a redirect for success, and does not look at what a collector says it refused.

    A collector that trickles its answer holds up this thread alone: what waits meanwhile is bounded.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self.headers["Accept-Encoding"] = "identity"  # a few packed bytes could be gigabytes
        self.refused = 0
        self.told = ""

    @override
    def request(self, method: Any, url: Any, *args: Any, **options: Any) -> requests.Response:
        try:
            with super().request(method, url, *args, **{**options, "stream": True}) as response:
                body = response.raw.read(BODY_LIMIT + 1, decode_content=False)
        except (HTTPError, OSError) as error:
            if isinstance(error, requests.RequestException):
                raise
            raise requests.ConnectionError(str(error)) from None
        if len(body) > BODY_LIMIT:
            raise requests.RequestException(
                msg("its answer is longer than {limit} KB", limit=BODY_LIMIT // 1024)
            )
        self._look_at(response, body)
        return response

    def _look_at(self, response: requests.Response, body: bytes) -> None:
        if 300 <= response.status_code < 400:
            where = response.headers.get("location", "nowhere")
            raise requests.RequestException(
                msg(
                    "it answers {status} and leads to {where}: name that address",
                    status=response.status_code,
                    where=where,
                )
            )
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if response.status_code == requests.codes.ok and kind == "application/x-protobuf":
            partial = ExportTraceServiceResponse.FromString(body).partial_success
            self.refused, self.told = int(partial.rejected_spans), str(partial.error_message)


class _LastWords(logging.Handler):
    """Keeps what the exporter logs, in place of the log: each export that fails would tell of itself."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""
        self._logger = logging.getLogger("opentelemetry")
        self._logger.addHandler(self)
        self._logger.propagate = False

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()

    @override
    def close(self) -> None:
        self._logger.removeHandler(self)
        super().close()


def _authorities() -> str | None:
    """The system's certificate authorities, as for all else that is asked; `requests` brings its own."""
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath
