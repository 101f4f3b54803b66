"""Traces of processes, on a collector's wire: kept at the end, lost without harm, found from a bucket."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest
import servers
from aiohttp import web
from asking import KEY, PRICE
from collector import collecting
from orchestrator import QUICK, client_of, make_app, serving
from projects import project, small_spec
from vendors import vendor
from vendors.chats import OpenRouter

pytestmark = pytest.mark.lab

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def asked(url: str, n: int = 0) -> None:
    answer = httpx.post(
        f"{url}/api/v1/generate", json={"prompt": f"question {n}"}, timeout=60, trust_env=False
    )
    assert answer.status_code == 200, answer.text


def test_what_waits_when_the_app_is_told_to_end_reaches_the_collector(tmp_path: Path) -> None:
    with collecting() as collector, serving(tmp_path, app={"tracing": {"endpoint": collector.url}}) as server:
        for n in range(3):
            asked(server.url, n)
        server.process.terminate()
        assert server.process.wait(60) == 0
    assert collector.refused == []
    assert len(collector.named("POST /api/v1/generate")) == 3
    assert len(collector.named("invoke_workflow wall-bounce")) == 3
    ids = {span.span_id for span in collector.spans}
    assert all(span.parent in ids for span in collector.spans if span.parent), "no span without its parent"


def test_nothing_of_a_trace_is_passed_on_to_vendors(tmp_path: Path) -> None:
    given: list[set[str]] = []

    class Watching(OpenRouter):
        def key(self, request: web.Request) -> str:
            given.append({name.lower() for name in request.headers})
            return super().key(request)

    async def main() -> None:
        async with vendor(Watching()) as seen:
            providers = {
                name: {
                    "kind": "openrouter", "base_url": seen.url, "model": "good", "api_key": KEY,
                    "price": PRICE,
                }
                for name in ("one", "two")
            }  # fmt: skip
            own = {"tracing": {"endpoint": collector.url, "trusted_networks": ["127.0.0.0/8"]}}
            async with client_of(make_app(tmp_path, app=own, providers=providers)) as client:
                headers = {"traceparent": PARENT, "tracestate": "a=b", "baggage": "user=alice"}
                answer = await client.post("/api/v1/generate", json={"prompt": "df"}, headers=headers)
                assert answer.status_code == 200, answer.text

    with collecting() as collector:
        asyncio.run(main())
    assert len(given) >= 4
    assert not set.union(*given) & {"traceparent", "tracestate", "baggage", "x-request-id"}
    calls = [span for span in collector.spans if span.kind == "client"]
    assert len(calls) == 4
    for call in calls:
        assert call.attributes["gen_ai.provider.name"] == "openrouter"
        assert call.attributes["server.address"] == "127.0.0.1"
        assert call.attributes["gen_ai.usage.input_tokens"] > 0
        assert call.attributes["techsapo.cost_usd"] > 0


def test_a_stack_sends_its_key_from_a_file_and_its_logs_are_found_by_the_trace(tmp_path: Path) -> None:
    key = tmp_path / "collectors-key"
    key.write_text("first\n")
    spec = small_spec(
        app={
            "port": servers.free_port(),
            "drain": "0s",
            "tracing": {"endpoint": "", "headers": {"Api-Key_file": str(key)}},
        },
        providers=QUICK,
    )
    spec["redis"]["enabled"] = False
    for name in ("prometheus", "alertmanager"):
        spec["monitoring"][name]["enabled"] = False
    with collecting(headers={"api-key": "first"}) as collector:
        spec["app"]["tracing"]["endpoint"] = collector.url
        with project(spec) as stack:
            assert "otel" not in stack.run("up", "--yes").stderr
            url = f"http://127.0.0.1:{spec['app']['port']}"
            asked(url)
            servers.wait_for(lambda: bool(collector.named("POST /api/v1/generate")), what="the trace")
            (request,) = collector.named("POST /api/v1/generate")
            told = stack.run("logs", "--trace", request.trace_id, "--json").stdout
            lines = [json.loads(line) for line in told.splitlines()]
            assert {line["line"]["message"] for line in lines} >= {
                "HTTP request", "Wall-bounce analysis completed",
            }  # fmt: skip
            assert {line["line"]["trace_id"] for line in lines} == {request.trace_id}
            assert "first" not in (stack.state / "generated/app/techsapo.yaml").read_text()
            collector.headers = {"api-key": "second"}
            key.write_text("second\n")
            stack.run("up", "--yes")
            asked(url, 2)
            servers.wait_for(lambda: len(collector.named("POST /api/v1/generate")) > 1, what="the trace")
            assert collector.refused == []
