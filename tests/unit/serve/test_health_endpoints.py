from __future__ import annotations

import asyncio
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
from instances import get, send, within
from orchestrator import QUICK, client_of, make_app, make_spec
from rows import each_row
from servers import free_port

from techsapo_ops.serve.app import App
from techsapo_ops.serve.options import Options, PageFacts
from techsapo_ops.wallbounce.providers.failures import FailureKind

OWN = {"kind": "openai-compatible", "base_url": "http://127.0.0.1:9/v1", "model": "m", "price": {}}


def detailed(app: App, code: int = 200) -> dict[str, Any]:
    async def work(client: httpx.AsyncClient) -> dict[str, Any]:
        async with asyncio.timeout(60):
            answer = await client.get("/api/v1/health")
            while "not opened yet" in answer.text:
                answer = await client.get("/api/v1/health")
        assert answer.status_code == code
        return dict(answer.json())

    return within(app, work)


def test_a_fresh_instance_is_healthy_and_says_what_is_in_use(tmp_path: Path) -> None:
    body = detailed(make_app(tmp_path))
    used = body["dependencies"]
    assert (body["status"], body["simulated"]) == ("healthy", True)
    assert (used["cache"]["in_use"], used["audit"]["in_use"]) == ("memory", "sqlite")
    assert set(used["providers"]) == {"sim-a", "sim-b", "sim-c"}


def test_without_its_redis_and_database_an_instance_is_degraded_and_uses_its_memory(tmp_path: Path) -> None:
    body = detailed(make_app(tmp_path, redis={"port": free_port()}, mysql={"port": free_port()}))
    cache, audit = body["dependencies"]["cache"], body["dependencies"]["audit"]
    assert body["status"] == "degraded"
    assert (cache["status"], cache["in_use"]) == ("degraded", "memory")
    assert cache["consecutive_errors"] > 0
    assert (audit["status"], audit["in_use"]) == ("degraded", "mysql")


def test_a_single_provider_is_a_degraded_state_and_one_that_is_off_is_named(tmp_path: Path) -> None:
    providers = {"one": QUICK["sim-a"], "off": {"kind": "simulated", "enabled": False}}
    body = detailed(make_app(tmp_path, providers=providers))
    assert body["status"] == "degraded"
    off = body["dependencies"]["providers"]["off"]
    assert off == {"status": "unavailable", "detail": "disabled in the spec"}


def test_draining_is_seen_on_ping_alone(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    app.lifecycle.draining = True
    ping, basic, answer = get(app, "/ping", "/health", "/api/v1/health")
    assert (ping.status_code, ping.text) == (503, "draining\n")
    assert basic.status_code == 200
    assert answer.json()["draining"] is True
    assert all(r.headers["connection"] == "close" for r in (ping, basic, answer))


async def test_health_is_503_once_the_audit_writer_has_stopped(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with client_of(app) as client:
        assert (await client.get("/health")).json()["status"] == "ok"
        await asyncio.to_thread(app.audit.close)
        response = await client.get("/health")
    assert response.status_code == 503
    assert response.json()["detail"] == "the audit writer has stopped"


def test_probes_answer_head_as_well(tmp_path: Path) -> None:
    answers = send(make_app(tmp_path), *(("HEAD", path, {}) for path in ("/", "/ping", "/health")))
    assert [answer.status_code for answer in answers] == [200, 200, 200]


def test_each_provider_shows_its_breaker_and_where_its_price_is_from(tmp_path: Path) -> None:
    own = {**OWN, "price": {"input": 1, "output": 2}, "attempts": 1}
    claude = {"kind": "anthropic", "model": "claude-sonnet-5-5", "api_key": "k"}
    providers = {"local": own, "other": own, "claude": claude}
    app = make_app(tmp_path, providers=providers, wallbounce={"breaker": {"failures": 1, "cooldown": "60s"}})
    breaker = next(b for b in app.registry.breakers if b.provider == "local")
    breaker.admit().ended(FailureKind.UNAVAILABLE)
    body = detailed(app)
    told = body["dependencies"]["providers"]
    assert told["local"]["price"] == {"input": 1.0, "output": 2.0, "source": "spec", "known": True}
    assert told["claude"]["price"]["source"] == f"genai-prices {version('genai-prices')}"
    assert told["other"]["breaker"] == {"state": "closed", "failures": 0}
    assert body["status"] == "degraded", "as `techsapo health` says of one that is down"
    assert (told["local"]["status"], told["local"]["breaker"]["state"]) == ("open", "open")
    assert "next try in" in told["local"]["detail"]


@each_row("left_alone, status", [(0, "healthy"), (1, "degraded"), (2, "down")])
def test_with_fewer_than_two_providers_to_ask_an_instance_is_degraded_and_with_none_down(
    tmp_path: Path, left_alone: int, status: str
) -> None:
    app = make_app(tmp_path, providers={"a": OWN, "b": OWN}, wallbounce={"breaker": {"failures": 1}})
    for breaker in app.registry.breakers[:left_alone]:
        breaker.admit().ended(FailureKind.UNAVAILABLE)
    assert detailed(app, 503 if status == "down" else 200)["status"] == status


def test_the_status_tells_what_others_may_reach_and_why_that_is_meant(tmp_path: Path) -> None:
    told = [
        {"rule": "app-plain-http", "message": "the app listens on 0.0.0.0", "accepted": "TLS ends at lb1"},
        {"rule": "redis-plain-text", "message": "Redis listens on 0.0.0.0", "accepted": None},
    ]
    app = App(Options(make_spec(), "app-1", tmp_path / "data", page_facts=lambda: PageFacts(exposures=told)))
    (answer,) = get(app, "/api/v1/status")
    assert answer.json()["exposures"] == told
