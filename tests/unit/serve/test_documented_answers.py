"""Each JSON answer is what /openapi.json says of it, and no browser or proxy may keep it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from documented import Documented
from instances import get, within
from orchestrator import client_of, make_app
from rows import each_row

ASK, LOGS, CHAT = "/api/v1/generate", "/api/v1/analyze-logs", "/v1/chat/completions"
DISK: dict[str, Any] = {"model": "techsapo-basic", "messages": [{"role": "user", "content": "disk full"}]}
FLAKY = {
    name: {"kind": "simulated", "seed": seed, "accuracy": 0.5, "error_rate": 0.3, "latency": "1ms"}
    for seed, name in enumerate(("a", "b", "c", "d"))
}


JSON = {"Content-Type": "application/json"}
POSTED: list[tuple[str, dict[str, Any]]] = [
    *((ASK, {"json": {"prompt": f"disk {n}", "task_type": "critical"}}) for n in (*range(3), 1)),
    (ASK, {"json": {"prompt": ""}}),
    (ASK, {"json": {"wrong": ""}}),
    (ASK, {"content": b"{", "headers": JSON}),
    (ASK, {"content": b"{"}),
    (LOGS, {"json": {"user_command": "df -h", "error_output": "no space left on device"}}),
    (LOGS, {"json": {}}),
    (CHAT, {"json": DISK}),
    (CHAT, {"json": {**DISK, "n": 2}}),
    (CHAT, {"json": {**DISK, "model": "gpt"}}),
    ("/api/v1/alerts", {"json": [{"labels": {"alertname": "Slow", "service": "shop"}}]}),
    ("/api/v1/alerts", {"json": [{}]}),
    ("/api/v1/events", {"json": {"text": "deployed shop"}}),
    ("/api/v1/incidents/investigate", {"json": {"about": "why?"}}),
    ("/api/v1/feedback", {"json": {"request_id": "none", "label": "right"}}),
    ("/api/v1/feedback", {"json": {"label": "good"}}),
    ("/api/v1/incidents/1/check", {"json": {"output": "x"}}),
    ("/api/v1/incidents/1/strike", {"json": {"cause": 1, "reason": "no"}}),
    ("/api/v1/incidents/1/resolve", {"json": {"cause": "a bad deploy"}}),
]
GOT = (
    "/health", "/api/v1/health", "/api/v1/metrics/recent", "/api/v1/status",
    "/api/v1/tiers", "/api/v1/answers/none", "/api/v1/knowledge?query=disk", "/api/v1/metrics/query?query=up",
    "/v1/models", "/v1/models/techsapo-basic", "/v1/models/gpt",
    "/api/v1/dashboards", *(f"/api/v1/dashboards/{name}" for name in ("main", "none", "main?span=9y")),
    "/api/v1/incidents", "/api/v1/incidents/1", "/api/v1/incidents/9",
    "/api/v1/feedback/none", "/api/v1/feedback/records", "/api/v1/feedback/records?days=0",
)  # fmt: skip


async def ask_for_everything(client: httpx.AsyncClient, documented: Documented) -> set[int]:
    """Check the answers to all that can be asked, and to what is refused; the statuses that there were."""
    answers = [await client.post(path, **body) for path, body in POSTED]
    answers += [await client.get(path) for path in GOT]
    for answer in answers:
        documented.check(answer)
    return {answer.status_code for answer in answers}


@each_row("sections", [{"providers": FLAKY}, {"redis": {"port": 1}, "mysql": {"port": 1}}])
def test_every_answer_is_what_its_documented_model_tells_of(tmp_path: Path, sections: dict[str, Any]) -> None:
    app = make_app(tmp_path, investigate={}, **sections)

    async def work(client: httpx.AsyncClient) -> tuple[Documented, set[int]]:
        documented = Documented((await client.get("/openapi.json")).json())
        return documented, await ask_for_everything(client, documented)

    documented, statuses = within(app, work)
    assert documented.asked == documented.json_operations()
    assert statuses >= {200, 400, 404, 415, 422, 503}


async def test_a_dead_or_closed_instance_answers_as_documented_too(tmp_path: Path) -> None:
    app = make_app(tmp_path, app={"auth": {"required": True, "keys_file": str(tmp_path / "none.json")}})
    async with client_of(app) as client:
        documented = Documented((await client.get("/openapi.json")).json())
        away = {"X-Forwarded-For": "192.0.2.1"}  # from elsewhere, through a proxy
        asked = [await client.post(ASK, json={"prompt": "x"}), await client.post(CHAT, json=DISK)]
        asked += [await client.get(path, headers=away) for path in ("/api/v1/health", "/api/v1/status")]
        await asyncio.to_thread(app.audit.close)
        asked += [await client.get(path) for path in ("/health", "/api/v1/health")]
        for answer in asked:
            documented.check(answer)
    assert [answer.status_code for answer in asked] == [401, 401, 401, 401, 503, 503]


async def test_an_answer_with_a_key_that_is_not_documented_is_found(tmp_path: Path) -> None:
    async with client_of(make_app(tmp_path)) as client:
        documented = Documented((await client.get("/openapi.json")).json())
        answer = await client.get("/health")
        documented.check(answer)
        answer._content = answer.content.replace(b'{"status"', b'{"further":1,"status"')
        with pytest.raises(AssertionError):
            documented.check(answer)


ENDLESS = {("get", "/api/v1/metrics/stream")}
"""Its head is sent by serve/http/responses.py, as of all event streams; it ends with its client alone."""


def test_every_operation_says_that_its_answer_is_not_to_be_kept(tmp_path: Path) -> None:
    app = make_app(tmp_path)

    async def work(client: httpx.AsyncClient) -> dict[str, str | None]:
        paths = (await client.get("/openapi.json")).json()["paths"]
        operations = {(method, path) for path, methods in paths.items() for method in methods}
        assert operations >= ENDLESS
        found = {}
        for method, path in sorted(operations - ENDLESS):
            for body in ({}, {"prompt": "disk full"}) if method == "post" else ({},):
                given = {"json": body} if method == "post" else {}
                answer = await client.request(method.upper(), path.replace("{", "").replace("}", ""), **given)
                found[f"{method} {path} {answer.status_code}"] = answer.headers.get("cache-control")
        for path in ("/openapi.json", "/nothing", "/web/nothing.js"):
            found[path] = (await client.get(path)).headers.get("cache-control")
        return found

    found = within(app, work)
    assert len(found) > 10
    assert {path: said for path, said in found.items() if said != "no-store"} == {}


def test_a_page_and_its_files_are_kept_and_asked_for_again(tmp_path: Path) -> None:
    answers = get(make_app(tmp_path), "/", "/status", "/web/words.js", "/favicon.ico")
    assert {answer.headers.get("cache-control") for answer in answers} == {"no-cache"}
