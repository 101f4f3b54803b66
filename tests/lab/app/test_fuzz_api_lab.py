"""The API of /openapi.json, asked with input that fits it and input that does not, and raw hostile requests.

An answer is a documented one, never a 5xx. Seeds are fixed; `make fuzz` takes fresh ones. What that finds
becomes an `example` here, or a test of its own.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fronts import nginx_before
from fuzzing import examples
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from orchestrator import serving
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import positive_data_acceptance
from servers import wait_for

from techsapo_ops.stores.keys import KeyFile, new_key

pytestmark = [pytest.mark.lab, pytest.mark.fuzz, pytest.mark.nightly]

ENDLESS = "/api/v1/metrics/stream"
"""Its answer never ends."""
LENIENT = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


@dataclass(frozen=True, slots=True)
class Api:
    """A running app, or nginx before it, and a key where it wants one."""

    port: int
    headers: dict[str, str]

    def operations(self) -> Iterator[Any]:
        """What the API documents, but for the stream."""
        schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{self.port}/openapi.json")
        yield from (found.ok() for found in schema.get_all_operations() if found.ok().path != ENDLESS)

    def status(self, request: bytes) -> int | None:
        """The status of the answer to `request`; None where the connection is closed without one."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            try:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                start = connection.makefile("rb").readline(200)
            except ConnectionResetError:
                return None
        return int(start.split()[1]) if start else None


@contextmanager
def open_app(directory: Path) -> Iterator[Api]:
    with serving(directory) as server:
        yield Api(server.port, {})


@contextmanager
def with_keys(directory: Path) -> Iterator[Api]:
    kept, shown = new_key("fuzz", plan="premium", scopes=("ask", "monitor"), now=datetime.now(UTC))
    kept = replace(kept, per_minute=1_000_000, daily_usd=1e6, monthly_usd=1e7)
    with serving(directory, app={"auth": {"required": True}}) as server:
        file = directory / ".techsapo" / "api-keys" / "keys.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        KeyFile(file).write((kept,))
        api = Api(server.port, {"Authorization": f"Bearer {shown}"})
        get = f"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {shown}\r\n\r\n"
        wait_for(lambda: api.status(get.encode()) == 200, what="the key to open the API")
        yield api


@contextmanager
def through_nginx(directory: Path) -> Iterator[Api]:
    with serving(directory / "app") as server, nginx_before(directory, server.port) as front:
        yield Api(front.port, {})


@pytest.fixture(scope="module", params=[open_app, with_keys, through_nginx], ids=lambda way: way.__name__)
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with request.param(tmp_path_factory.mktemp("fuzz")) as running:
        yield running


def test_what_fits_the_documents_and_what_does_not_gets_an_answer_that_they_tell_of(api: Api) -> None:
    failed = []
    for operation in api.operations():
        for mode in modes(operation):

            @settings(max_examples=examples(25), deadline=None, suppress_health_check=LENIENT)
            @given(case=operation.as_strategy(generation_mode=mode))
            def check(case: Any) -> None:
                # Which rules hold across fields, such as a question that is not empty, no schema can tell.
                case.call_and_validate(
                    headers=api.headers, timeout=20, excluded_checks=[positive_data_acceptance]
                )

            try:
                check()
            except FailureGroup as found:
                failed += [f"{operation.label}, {mode}: {f}" for f in found.exceptions]
    assert not failed, "\n\n".join(failed)


def modes(operation: Any) -> list[GenerationMode]:
    """With which kinds of input an operation can be asked: without a body or query nothing can be wrong."""
    return list(GenerationMode) if operation.body or operation.query else [GenerationMode.POSITIVE]


PATHS = (
    "/api/v1/generate", "/v1/chat/completions", ENDLESS, "/ws/metrics", "/metrics", "/ping", "/health", "/",
)  # fmt: skip
NAMES = (
    "Host", "Origin", "Authorization", "X-API-Key", "X-Forwarded-For", "X-Forwarded-Proto", "X-Request-Id",
    "Accept", "Idempotency-Key", "X-User-ID", "Last-Event-ID", "Content-Type", "Content-Length", "Expect",
    "Content-Encoding", "Transfer-Encoding", "Connection", "Upgrade", "Sec-WebSocket-Key", "Range",
    "Sec-WebSocket-Version",
)  # fmt: skip
ODD = (
    "http://[", "[", "[::1", "]", "a:b:c", ":", "//", "null", "Upgrade", "websocket", "chunked",
    "100-continue", "*/*", "text/event-stream", "application/json", "Bearer ", "Basic Og==",
    "9" * 20, "-1", "1e9", "13",
)  # fmt: skip
VISIBLE = st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f")
REQUESTS = st.builds(
    lambda *parts: parts,
    st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"]),
    st.sampled_from(PATHS),
    st.lists(
        st.tuples(st.sampled_from(NAMES), st.sampled_from(ODD) | st.text(VISIBLE, max_size=40)), max_size=6
    ),
    st.binary(max_size=60),
)
UPGRADE = [
    ("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
]  # fmt: skip


@settings(
    max_examples=examples(150),
    deadline=None,
    suppress_health_check=[*LENIENT, HealthCheck.function_scoped_fixture],
)
@given(request=REQUESTS)
@example(("GET", "/ws/metrics", [("Host", "localhost"), ("Origin", "http://["), *UPGRADE], b""))
@example(("GET", "/ws/metrics", [("Host", "["), ("Origin", "http://localhost"), *UPGRADE], b""))
def test_no_header_or_body_makes_the_server_fail(api: Api, request: Any) -> None:
    method, path, headers, body = request
    if not any(name == "Host" for name, _ in headers):
        headers = [("Host", "localhost"), *headers]
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    status = api.status(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body)
    assert status is None or status < 500 or status == 501  # nginx on a transfer coding that it does not have
