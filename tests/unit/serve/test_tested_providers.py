"""A provider that answered `techsapo providers test` is asked again at once."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes.open_stacks import open_stack
from monitoring_stack import spec_of, topology_of
from orchestrator import client_of, make_spec

from techsapo_ops.adapters.http import Answer, Unreachable
from techsapo_ops.errors import OpsError
from techsapo_ops.operations import tell_tested as module
from techsapo_ops.operations.tell_tested import tell_tested
from techsapo_ops.serve.app import App
from techsapo_ops.serve.options import Options
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stores.drill_seal import HEADER, TESTED_PATH, DrillSeal
from techsapo_ops.wallbounce.causes import Cause
from techsapo_ops.wallbounce.failures import FailureKind

KEY = b"0f" * 24
LOCAL = {
    "kind": "openai-compatible", "model": "m", "base_url": "http://127.0.0.1:9/v1",
    "price": {"input": 0, "output": 0},
}  # fmt: skip


def made(directory: Path, key: bytes | None = KEY) -> App:
    """An app that leaves `gpt` alone, because its key was refused."""
    spec = make_spec(providers={"gpt": LOCAL, "other": LOCAL})
    app = App(Options(spec, "app-1", directory / "data", app_key=key))
    for breaker in app.registry.breakers:
        breaker.admit().ended(FailureKind.REFUSED, Cause.KEY)
    assert {b.state for b in app.registry.breakers} == {"open"}
    return app


Sent = tuple[bytes, dict[str, str]]


def posted(body: Any, key: bytes = KEY) -> Sent:
    sent = json.dumps(body).encode()
    return sent, {
        "X-Request-ID": "tested-1",
        HEADER: DrillSeal(key).proof("POST", TESTED_PATH, "tested-1", sent),
        "Content-Type": "application/json",
    }


def answers(app: App, *sent: Sent) -> list[httpx.Response]:
    async def main() -> list[httpx.Response]:
        async with client_of(app) as client:
            return [await client.post(TESTED_PATH, content=body, headers=headers) for body, headers in sent]

    return asyncio.run(main())


def states(app: App) -> dict[str, str]:
    return {breaker.provider: breaker.state for breaker in app.registry.breakers}


def test_the_breaker_of_that_provider_closes_and_of_no_other(tmp_path: Path) -> None:
    app = made(tmp_path)
    (answer,) = answers(app, posted({"provider": "gpt"}))
    assert (answer.status_code, answer.json()) == (200, {"instance": "app-1", "closed": True})
    assert states(app) == {"gpt": "closed", "other": "open"}


def test_without_the_proof_or_a_name_nothing_closes(tmp_path: Path) -> None:
    app = made(tmp_path)
    sent = [
        posted({"provider": "gpt"}, b"another"),
        *(posted(body) for body in ({"provider": 5}, {}, {"provider": "none"})),
    ]
    assert [answer.status_code for answer in answers(app, *sent)] == [401, 422, 422, 200]
    assert set(states(app).values()) == {"open"}
    keyless = made(tmp_path / "keyless", None)
    assert [answer.status_code for answer in answers(keyless, posted({"provider": "gpt"}))] == [401]
    assert set(states(keyless).values()) == {"open"}


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    spec = spec_of({"project": "t", "app": {"instances": [{"port": 4001}, {"port": 4002}]}})
    stack = open_stack(topology_of(spec, tmp_path))
    stack.layout.app_key.parent.mkdir(parents=True, exist_ok=True)
    stack.layout.app_key.write_bytes(KEY)
    return stack


def answer(status: int, body: bytes) -> Answer:
    return Answer("", status, body, truncated=False, seconds=0.0)


def answering(monkeypatch: pytest.MonkeyPatch, found: dict[str, Answer | None]) -> list[str]:
    asked: list[str] = []

    def send(url: str, body: bytes, **options: Any) -> Answer:
        asked.append(url)
        headers = options["headers"]
        assert DrillSeal(KEY).holds(headers[HEADER], "POST", TESTED_PATH, headers["X-Request-ID"], body)
        answer = next(each for port, each in found.items() if port in url)
        if answer is None:
            raise Unreachable(url, "refused")
        return answer

    monkeypatch.setattr(module, "send", send)
    return asked


def test_every_instance_is_told_and_one_that_does_not_run_is_none(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answering(monkeypatch, {":4001": None, ":4002": answer(200, b'{"closed": true}')})
    assert tell_tested(stack, ["gpt"]) == ("gpt",)
    assert [url.removesuffix(TESTED_PATH) for url in asked] == [
        "http://127.0.0.1:4001", "http://127.0.0.1:4002",
    ]  # fmt: skip


def test_an_app_that_refuses_is_an_error_and_a_stack_that_was_never_up_is_none(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answering(monkeypatch, {":400": answer(404, b"")})
    with pytest.raises(OpsError, match="HTTP 404"):
        tell_tested(stack, ["gpt"])
    stack.layout.app_key.unlink()
    asked.clear()
    assert tell_tested(stack, ["gpt"]) == ()
    assert asked == []
