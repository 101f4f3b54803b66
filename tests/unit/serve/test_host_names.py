"""Under which names the app answers, and from which pages a WebSocket may be opened."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from orchestrator import make_app
from rows import each_row

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.serve.app import App

CASES = Path(__file__).parents[2] / "cases"
HOSTS = read_yaml((CASES / "hosts.yaml").read_text("utf-8"))
ORIGINS = read_yaml((CASES / "origins.yaml").read_text("utf-8"))
Header = tuple[bytes, bytes]


def make(directory: Path, *, keys: bool = False) -> App:
    auth = {"required": keys, "proxies": ["127.0.0.1"]}
    return make_app(directory, app={"allowed_hosts": ["ops.example.com", "*.lan.example"], "auth": auth})


def call(app: App, kind: str, path: str, headers: list[Header], version: str = "1.1") -> tuple[int, Any]:
    """Status and JSON body of the answer to a request whose body is never read; 101 for a WebSocket."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if kind == "websocket" and not sent:
            return {"type": "websocket.connect"}
        await asyncio.Event().wait()
        return {}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if message["type"] == "websocket.accept":
            raise OSError("the client went")

    async def main() -> None:
        method = {} if kind == "websocket" else {"method": "POST" if headers[-1][1] == b"9" else "GET"}
        scope = {
            "type": kind, "path": path, "raw_path": path.encode(), "query_string": b"", "headers": headers,
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 4000), "http_version": version,
            "scheme": "ws" if kind == "websocket" else "http", "root_path": "", **method,
            "extensions": {"websocket.http.response": {}},
        }  # fmt: skip
        await asyncio.wait_for(app.asgi(scope, receive, send), 10)

    asyncio.run(main())
    first = sent[0]
    if first["type"] == "websocket.accept":
        return 101, None
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return first["status"], json.loads(body) if body.startswith(b"{") else body


def named(host: str, *more: Header) -> list[Header]:
    return [(b"host", host.encode("utf-8")), *more]


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> App:
    return make(tmp_path_factory.mktemp("strict"))


@each_row("case", HOSTS, ids=lambda c: repr(c["host"]))
def test_a_request_is_answered_under_our_names_alone(strict: App, case: dict[str, Any]) -> None:
    assert call(strict, "http", "/ping", named(case["host"]))[0] == case["status"]
    websocket = 101 if case["status"] == 200 else case["status"]
    assert call(strict, "websocket", "/ws/metrics", named(case["host"]))[0] == websocket


@each_row("case", ORIGINS, ids=lambda c: f"{c['origin']!r} to {c['host']}")
def test_a_websocket_is_opened_by_pages_of_the_same_origin_alone(strict: App, case: dict[str, Any]) -> None:
    told = {f"x-forwarded-{name}": value for name, value in case.get("forwarded", {}).items()}
    headers = named(case["host"], (b"origin", case["origin"].encode()))
    headers += [(name.encode(), value.encode()) for name, value in told.items()]
    assert call(strict, "websocket", "/ws/metrics", headers)[0] == case["status"]


def test_the_refusal_names_the_setting_in_the_shape_that_its_client_reads(strict: App) -> None:
    _, problem = call(strict, "http", "/api/v1/generate", named("Evil.Example:80"))
    assert (problem["code"], problem["host"]) == ("misdirected", "evil.example")
    assert problem["setting"] == "app.allowed_hosts"
    assert "app.allowed_hosts" in problem["detail"]
    _, openai = call(strict, "http", "/v1/chat/completions", named("evil.example"))
    assert "app.allowed_hosts" in openai["error"]["message"]


def test_another_name_is_refused_before_key_and_body(tmp_path: Path) -> None:
    app = make(tmp_path, keys=True)
    post = named("evil.example", (b"content-length", b"9"))
    assert call(app, "http", "/api/v1/generate", post)[0] == 421
    assert call(app, "websocket", "/ws/metrics", named("evil.example"))[0] == 421


def test_a_malformed_host_or_origin_is_400_without_a_key(tmp_path: Path) -> None:
    app = make(tmp_path, keys=True)
    away = named("localhost", (b"origin", b"http://["), (b"x-forwarded-for", b"192.0.2.1"))
    for headers in (away, named("["), [*named("localhost"), *named("localhost")]):
        assert call(app, "websocket", "/ws/metrics", headers)[0] == 400


def test_a_request_without_host_is_only_taken_from_http_1_0(strict: App) -> None:
    other = [(b"accept", b"*/*")]
    assert call(strict, "http", "/ping", other)[0] == 400
    assert call(strict, "http", "/ping", other, "1.0")[0] == 200


def test_nobody_but_a_believed_proxy_says_how_a_browser_came(tmp_path: Path) -> None:
    app = make_app(tmp_path, app={"auth": {"proxies": ["192.0.2.1"]}})
    forwarded = (b"x-forwarded-host", b"localhost:3000")
    headers = named("localhost:4000", (b"origin", b"http://localhost:3000"), forwarded)
    assert call(app, "websocket", "/ws/metrics", headers)[0] == 403


def test_names_that_are_not_listed_are_counted_and_are_in_no_metric(tmp_path: Path) -> None:
    app = make(tmp_path)
    for host in ("web.example", "web.example:80", "ops.example.com"):
        call(app, "http", "/ping", named(host))
    metrics = call(app, "http", "/metrics", named("localhost"))[1].decode()
    refused = 'techsapo_http_requests_total{method="GET",route="misdirected",status="421"} 2.0'
    assert refused in metrics
    assert "web.example" not in metrics
