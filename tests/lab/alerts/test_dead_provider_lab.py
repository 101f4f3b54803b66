"""A provider that refuses its key: down at once, told everywhere, replaced, and tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from orchestrator import ask, client_of, make_app, serving
from servers import Server
from vendors import Vendor, vendor
from vendors.wires import Chat

from techsapo_ops.serve.app import App
from techsapo_ops.wallbounce.providers.breaker import REST

pytestmark = pytest.mark.lab

_ERROR = {
    "message": "Incorrect API key provided.",
    "type": "invalid_request_error",
    "code": "invalid_api_key",
}
REFUSED = {"status": 401, "body": {"error": _ERROR}}


def compatible(**urls: str) -> dict[str, Any]:
    return {
        name: {
            "kind": "openai-compatible",
            "model": "good",
            "base_url": url,
            "api_key": "sk-lab-0123456789",
            "price": {"input": 1, "output": 2},
        }
        for name, url in urls.items()
    }


def metrics(server: Server) -> list[str]:
    return httpx.get(f"{server.url}/metrics", trust_env=False, timeout=60).text.splitlines()


def health(server: Server) -> Any:
    return httpx.get(f"{server.url}/api/v1/health", trust_env=False, timeout=60).json()


@contextmanager
def started(directory: Path, **urls: str) -> Iterator[Server]:
    with serving(directory, providers=compatible(**urls), app={"drain": "0s"}) as server:
        yield server


def ten_refusals(dead: Vendor, directory: Path, urls: dict[str, str]) -> None:
    with started(directory, **urls) as server:
        for n in range(10):
            body = ask(server, f"ディスクが一杯です（{n}）").json()
            failed = [p for p in body["providers"] if p["status"] == "failed"]
            answered = [p["name"] for p in body["providers"] if p["status"] == "answered"]
            assert sorted(answered) == ["spare", "well"], body
            assert body["tier"] == "basic"
            assert [(p["name"], p["error"]["kind"], p["error"]["cause"]) for p in failed] == (
                [("dead", "refused", "key")] if n == 0 else []
            )
        assert len(dead.asked) == 1, "a refused key is not sent with every question"
        said = health(server)
        told = said["dependencies"]["providers"]["dead"]
        assert (told["status"], told["cause"], told["breaker"]["state"]) == ("down", "key", "open")
        assert "valid key" in told["what_to_do"]
        assert 200 < told["next_try_seconds"] <= REST
        assert told["detail"].startswith("the API key is refused; next try in ")
        assert said["status"] == "degraded", "as `techsapo health` says of one that is down"
        assert httpx.get(f"{server.url}/health", trust_env=False, timeout=60).status_code == 200
        lines = metrics(server)
        assert 'techsapo_provider_up{provider="dead"} 0.0' in lines
        assert 'techsapo_provider_up{provider="spare"} 1.0' in lines
        assert 'techsapo_provider_refusing{cause="key",provider="dead"} 1.0' in lines
        assert not [
            line for line in lines if line.startswith("techsapo_provider_refusing") and "well" in line
        ]


def recovered(dead: Vendor, directory: Path, urls: dict[str, str]) -> None:
    with started(directory, **urls) as server:
        providers = {p["name"]: p["status"] for p in ask(server, "もう一度").json()["providers"]}
        assert providers["dead"] == "answered"
        assert len(dead.asked) > 2, "it answers, and grades"
        assert health(server)["dependencies"]["providers"]["dead"]["status"] == "available"
        lines = metrics(server)
        assert 'techsapo_provider_up{provider="dead"} 1.0' in lines
        assert not [line for line in lines if line.startswith("techsapo_provider_refusing{")]


def test_after_ten_refused_calls_it_is_down_and_a_new_start_tries_it_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with vendor(Chat()) as dead, vendor(Chat()) as well:
            urls = {"dead": dead.url, "well": well.url, "spare": well.url}
            dead.reply = REFUSED
            await asyncio.to_thread(ten_refusals, dead, tmp_path / "before", urls)
            dead.reply = None
            await asyncio.to_thread(recovered, dead, tmp_path / "after", urls)

    asyncio.run(main())


def wait(app: App, seconds: float) -> None:
    """Let every breaker believe that so much time has passed."""
    for breaker in app.registry.breakers:
        now = breaker._clock
        breaker._clock = lambda now=now: now() + seconds  # type: ignore[misc]


def test_where_every_provider_refuses_the_instance_is_down_until_one_may_be_tried(tmp_path: Path) -> None:
    async def main() -> None:
        async with vendor(Chat()) as dead:
            dead.reply = REFUSED
            app = make_app(tmp_path, providers=compatible(a=dead.url, b=dead.url))
            async with client_of(app) as client:
                answer = await client.post("/api/v1/generate", json={"prompt": "x"})
                assert answer.status_code == 502
                assert [p["error"]["cause"] for p in answer.json()["providers"]] == ["key", "key"]
                assert "retry-after" not in answer.headers, "waiting does not help"
                again = await client.post("/api/v1/generate", json={"prompt": "y"})
                assert [p["error"]["cause"] for p in again.json()["providers"]] == ["key", "key"]
                assert len(dead.asked) == 2
                response = await client.get("/api/v1/health")
                assert (response.status_code, response.json()["status"]) == (503, "down")
                assert (await client.get("/health")).status_code == 200, "the process itself is well"
                wait(app, REST)
                response = await client.get("/api/v1/health")
                assert (response.status_code, response.json()["status"]) == (200, "degraded")

    asyncio.run(main())
