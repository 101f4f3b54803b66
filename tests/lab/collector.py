"""A strict stand-in for an OpenTelemetry collector: OTLP over HTTP, decoded by the protocol's own messages.

What it refuses, and how, is what the collector's OTLP receiver refuses: the OTLP specification 1.9
(https://opentelemetry.io/docs/specs/otlp/, "OTLP/HTTP") and receiver/otlpreceiver/otlphttp.go of
open-telemetry/opentelemetry-collector, as of November 2026. What a backend would refuse after it (ids of
zeros, a span that ends before it begins, an attribute twice) is refused here, too.
"""

from __future__ import annotations

import contextlib
import gzip
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

PROTOBUF = "application/x-protobuf"
KINDS = {1: "internal", 2: "server", 3: "client"}


@dataclass(frozen=True)
class Seen:
    """A span as the collector got it."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent: str
    attributes: Mapping[str, Any]
    start: int
    end: int
    failed: bool
    status_message: str
    links: tuple[tuple[str, str], ...]
    link_states: tuple[str, ...]
    events: tuple[tuple[str, Mapping[str, Any]], ...]
    resource: Mapping[str, Any]
    scope: tuple[str, str]
    schema: str


@dataclass
class Collector:
    """What has arrived, and how the next export is answered."""

    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers without whose exact values an export is refused (401)."""
    spans: list[Seen] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    """The decoded messages, to look for what must not be in them."""
    refused: list[str] = field(default_factory=list)
    answer: int = 200
    location: str = ""
    hold: Callable[[], None] = lambda: None

    def named(self, name: str) -> list[Seen]:
        """The spans of that name."""
        return [span for span in self.spans if span.name == name]


class _Refused(Exception):
    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        raise _Refused(400, "an attribute without a value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind)


def _attributes(pairs: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in cast("list[KeyValue]", pairs):
        if not pair.key or pair.key in found:
            raise _Refused(400, f"attribute {pair.key!r} is empty or there twice")
        found[pair.key] = _value(pair.value)
    return found


def _known(message: Message) -> None:
    """Nothing that the protocol's own messages do not have."""
    if len(UnknownFieldSet(message)):
        raise _Refused(400, f"{message.DESCRIPTOR.name} holds unknown fields")
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            for each in value if descriptor.is_repeated else [value]:
                _known(each)


def _seen(span: Span, resource: dict[str, Any], scope: tuple[str, str], schema: str) -> Seen:
    if len(span.trace_id) != 16 or not any(span.trace_id):
        raise _Refused(400, "no trace id")
    if len(span.span_id) != 8 or not any(span.span_id):
        raise _Refused(400, "no span id")
    if span.parent_span_id and (len(span.parent_span_id) != 8 or not any(span.parent_span_id)):
        raise _Refused(400, "a parent's id that is none")
    if not span.name or span.kind not in KINDS:
        raise _Refused(400, "a span without a name or a kind")
    if not 0 < span.start_time_unix_nano <= span.end_time_unix_nano <= time.time_ns() + 10**9:
        raise _Refused(400, f"{span.name} ends before it begins, or later than now")
    return Seen(
        span.name, KINDS[span.kind], span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(),
        _attributes(span.attributes), span.start_time_unix_nano, span.end_time_unix_nano,
        span.status.code == 2, span.status.message,
        tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        tuple(link.trace_state for link in span.links),
        tuple((event.name, _attributes(event.attributes)) for event in span.events),
        resource, scope, schema,
    )  # fmt: skip


def decoded(headers: Mapping[str, str], raw: bytes) -> tuple[list[Seen], bytes]:
    """The spans of an export and its plain message. Raises _Refused, as the receiver would."""
    if headers.get("content-type") != PROTOBUF:
        raise _Refused(415, "unsupported content type, supported: [application/json, application/x-protobuf]")
    encoding = headers.get("content-encoding", "")
    try:
        data = {"": lambda: raw, "gzip": lambda: gzip.decompress(raw)}[encoding]()
    except KeyError:
        raise _Refused(400, f"unsupported Content-Encoding: {encoding}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise _Refused(400, f"not gzip: {error}") from None
    try:
        message = ExportTraceServiceRequest.FromString(data)
    except DecodeError as error:
        raise _Refused(400, f"not the message: {error}") from None
    _known(message)
    found = []
    for resource in message.resource_spans:
        known = _attributes(resource.resource.attributes)
        if "service.name" not in known:
            raise _Refused(400, "a resource without service.name")
        for scoped in resource.scope_spans:
            scope = (scoped.scope.name, scoped.scope.version)
            found += [_seen(span, known, scope, scoped.schema_url) for span in scoped.spans]
    return found, data


@contextmanager
def collecting(port: int = 0, headers: Mapping[str, str] | None = None) -> Iterator[Collector]:
    """A collector on loopback, ended with the block."""
    collector = Collector(headers=headers or {})

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            given = {name.lower(): value for name, value in self.headers.items()}
            raw = self.rfile.read(int(given.get("content-length", 0)))
            collector.hold()
            try:
                if self.path != "/v1/traces":
                    raise _Refused(404, f"there is nothing at {self.path}")
                if any(given.get(name) != value for name, value in collector.headers.items()):
                    raise _Refused(401, "Unauthorized")
                found, plain = decoded(given, raw)
            except _Refused as refused:
                collector.refused.append(str(refused))
                self._answer(refused.status, b"")
                return
            if collector.answer != 200:
                self._answer(collector.answer, b"")
                return
            collector.spans += found
            collector.bodies.append(plain)
            self._answer(200, ExportTraceServiceResponse().SerializeToString())

        def do_GET(self) -> None:
            self._answer(405, b"")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", PROTOBUF)
            self.send_header("Content-Length", str(len(body)))
            if collector.location:
                self.send_header("Location", collector.location)
            self.end_headers()
            self.wfile.write(body)

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):  # whoever sent it has given up waiting
                super().handle()

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    collector.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
