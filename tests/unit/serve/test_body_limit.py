from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from techsapo_ops.serve.middleware import BodyLimit

Message = dict[str, Any]


class Echo:
    """Answers with the body that reaches it."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.bodies.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def post(
    chunks: list[bytes], headers: list[tuple[bytes, bytes]], ends: bool = True
) -> tuple[int, Echo, Message]:
    echo, sent = Echo(), []
    queue = [
        {"type": "http.request", "body": chunk, "more_body": not ends or n < len(chunks) - 1}
        for n, chunk in enumerate(chunks)
    ]

    async def receive() -> Message:
        if queue:
            return queue.pop(0)
        await asyncio.Event().wait()
        return {}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "headers": headers, "state": {"request_id": "r"}}
    asyncio.run(BodyLimit(echo, 10)(scope, receive, send))
    body = sent[1]["body"]
    return sent[0]["status"], echo, json.loads(body) if body else {}


def test_a_body_within_the_limit_reaches_the_app_whole() -> None:
    chunked = [(b"transfer-encoding", b"chunked")]
    status, echo, _ = post([b"12345", b"", b"67890"], chunked)
    assert (status, echo.bodies) == (200, [b"1234567890"])


@pytest.mark.parametrize(
    ("chunks", "header"),
    [
        ([b"12345", b"678901"], (b"transfer-encoding", b"chunked")),
        ([b"1" * 11], (b"content-length", b"11")),
        ([], (b"content-length", b"99999999999999999999")),
    ],
)
def test_a_longer_one_is_refused_before_the_app_sees_it(
    chunks: list[bytes], header: tuple[bytes, bytes]
) -> None:
    status, echo, problem = post(chunks, [header])
    assert (status, problem["code"], echo.bodies) == (413, "body_too_large", [])


def test_a_body_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("techsapo_ops.serve.middleware.READ_TIMEOUT", 0.05)
    status, echo, problem = post([b"1"], [(b"content-length", b"5")], ends=False)
    assert (status, problem["code"], echo.bodies) == (408, "timeout", [])
