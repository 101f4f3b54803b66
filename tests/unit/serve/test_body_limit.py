"""How long and how deep a body may be."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

from instances import send
from orchestrator import make_app
from rows import each_row

from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.serve.http.request_body import MOST_DEPTH, SMALL, BodyLimit, deeper_than

Message = dict[str, Any]


class Echo:
    """Answers with the body that reaches it, or with why none did, as the app's routes do."""

    def __init__(self, reads: bool = True) -> None:
        self.bodies: list[bytes] = []
        self._reads = reads

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            self.bodies += [(await receive())["body"]] if self._reads else []
        except Problem as problem:
            await problem.answer(scope)(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def post(chunks: list[bytes], headers: list[tuple[bytes, bytes]]) -> tuple[int, Echo, Message]:
    echo, sent = Echo(), []
    queue = [
        {"type": "http.request", "body": chunk, "more_body": n < len(chunks) - 1}
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


@each_row(
    "chunks, header",
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


async def _silent(_: Message) -> None:
    pass


def test_a_body_that_nobody_asks_for_is_not_read() -> None:
    async def receive() -> Message:
        raise AssertionError("it was read")

    scope = {"type": "http", "method": "POST", "headers": [(b"content-length", b"5")], "state": {}}
    asyncio.run(BodyLimit(Echo(reads=False), 10)(scope, receive, _silent))


async def test_large_bodies_are_held_up_to_a_bound_in_all_and_small_ones_always_read() -> None:
    """Each of these holds its body until its answer; the second large one finds no room."""
    sizes, codes = [SMALL + 60, SMALL + 60, SMALL, SMALL + 60], []
    ends = asyncio.Event()

    async def held(scope: Any, receive: Any, send: Any) -> None:
        await Echo()(scope, receive, _silent)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if not ends.is_set():
            await ends.wait()

    limit = BodyLimit(held, 2 * SMALL, held=100)

    async def one(size: int) -> None:
        scope = {"type": "http", "method": "POST", "headers": [(b"content-length", b"1")], "state": {}}

        async def receive() -> Message:
            return {"type": "http.request", "body": b"x" * size, "more_body": False}

        await limit(scope, receive, _silent)
        codes.append((size, scope["state"].get("problem")))

    first = [asyncio.create_task(one(size)) for size in sizes[:3]]
    await asyncio.sleep(0)
    ends.set()
    await asyncio.gather(*first)
    await one(sizes[3])
    large = SMALL + 60
    assert Counter(codes) == {(large, None): 2, (large, "overloaded"): 1, (SMALL, None): 1}


CHAT = '{"model": "techsapo-basic", "messages": [{"role": "user", "content": "502?"}], "metadata": {"m": %s}}'


JSON, KEY = {"Content-Type": "application/json"}, "Idempotency-Key"


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def test_a_chat_body_that_is_nested_too_deeply_is_refused_and_one_at_the_bound_is_answered(
    tmp_path: Path,
) -> None:
    depths = (MOST_DEPTH, 200, 1000, 1020, 5000, 400_000, MOST_DEPTH - 2)

    asked = [
        ("POST", "/v1/chat/completions", {"content": CHAT % nested(depth), "headers": {**JSON, KEY: f"{n}"}})
        for n, depth in enumerate(depths)
    ]
    *refused, answered = send(make_app(tmp_path), *asked)
    codes = [(answer.status_code, answer.json()["error"]["code"]) for answer in refused]
    assert codes[:4] == [(400, "invalid_request")] * 4
    assert codes[4][0] == 400, "Python 3.13 reads 5,000 levels, 3.11 does not"
    assert codes[5] == (400, "malformed_json")
    assert f"deeper than {MOST_DEPTH} levels" in refused[0].json()["error"]["message"]
    assert answered.status_code == 200


@each_row("form", ['{"a": %s}', "[1, %s]"])
def test_levels_are_counted_in_objects_and_in_arrays(form: str) -> None:
    text, levels = "1", 0
    while levels < 5:
        text, levels = form % text, levels + 1
    value: Any = json.loads(text)
    assert not deeper_than(5, value, text.encode())
    assert deeper_than(4, value, text.encode())
