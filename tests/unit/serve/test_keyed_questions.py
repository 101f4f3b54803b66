"""A question with a key: one that can't be kept now is told of, and it goes on for whoever sends it again."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from pydantic import BaseModel
from rows import each_row
from starlette.requests import Request

from techsapo_ops.serve.http.auth import Caller
from techsapo_ops.serve.http.idempotency import ONCE, RETRIED, Idempotency, RequestMemory, SendOnce
from techsapo_ops.stores.cache import StorageShare
from techsapo_ops.stores.locks import Held
from techsapo_ops.stores.redis_link import RedisLink
from techsapo_ops.stores.request_journal import RequestJournals


class Body(BaseModel):
    """A question."""


class Lock:
    """A lock of instances whose Redis is away, or that have none."""

    def __init__(self, *, shared: bool, confirms: bool = False) -> None:
        self.shared = shared
        self.confirms = confirms

    async def run_once(self, key: str, doing: str, found: Any, work: Any, surely: Any = None) -> Any:
        return await work(None)

    async def keep(self, held: Held, place: str, value: bytes, ttl: float) -> bool:
        return True


class Kept:
    def place(self, name: str) -> str:
        return name

    def closed(self, name: str, value: bytes, life: float) -> bytes:
        return value

    async def get(self, name: str) -> None:
        return None

    async def set(self, name: str, value: bytes, life: float) -> bool:
        return False


def request(**headers: str) -> Request:
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "path": "/api/v1/generate", "headers": sent, "state": {"request_id": "req-1"}}
    return Request(scope)


def asked(shared: bool, came: Request) -> None:
    idempotency = Idempotency(Kept(), Lock(shared=shared), None, StorageShare(RedisLink(None, ""), "", 1))

    async def work(memory: object) -> dict[str, Any]:
        assert memory is None
        return {"request_id": "req-1"}

    asyncio.run(idempotency.once(came, Caller(None, None, ""), Body(), work))


@each_row("shared, kept", [(True, "no"), (False, "instance")])
def test_the_answer_says_how_far_its_key_is_kept(shared: bool, kept: str) -> None:
    came = request(idempotency_key="k")
    asked(shared, came)
    assert came.state.headers["Idempotency-Kept"] == kept


def test_what_nginx_would_send_again_goes_back_to_be_sent_once() -> None:
    came = request(idempotency_key="k", **{RETRIED: "1"})
    with pytest.raises(SendOnce) as back:
        asked(True, came)
    assert back.value.answer(came.scope).headers["x-accel-redirect"] == ONCE
    asked(False, request(idempotency_key="k", **{RETRIED: "1"}))  # no other instance could go on anyway


class Own(Lock):
    """A lock that is had."""

    async def run_once(self, key: str, doing: str, found: Any, work: Any, surely: Any = None) -> Any:
        return await work(Held("lock", doing))


def journals() -> RequestJournals:
    return RequestJournals(RedisLink(None, ""), "", None, lambda: None)


class Full:
    """A share that has room for callers but for one."""

    async def takes(self, caller: str, size: int) -> bool:
        assert size > 60
        return caller != "@greedy"


@each_row("who, kept, told", [("greedy", [], "no"), ("other", ["kept", "kept"], None)])
def test_whose_share_is_used_up_is_answered_and_told_that_nothing_is_kept(
    who: str, kept: list[str], told: str | None
) -> None:
    done = list[str]()

    class Keeping(Kept):
        async def set(self, name: str, value: bytes, life: float) -> bool:
            done.append("kept")  # the answer, and by which name it is found by its id
            return True

    idempotency = Idempotency(Keeping(), Own(shared=True), journals(), Full())

    async def work(memory: object) -> dict[str, Any]:
        return {"request_id": "req-1"}

    came = request(idempotency_key="k")
    answer = asyncio.run(idempotency.once(came, Caller(None, None, "", who), Body(), work))
    assert answer == {"request_id": "req-1"}
    assert done == kept
    assert getattr(came.state, "headers", {}).get("Idempotency-Kept") == told


@each_row(
    "confirms, asks, came_to",
    [
        (True, True, ["asked", "answered"]),
        (True, False, ["cancelled"]),  # nothing was asked yet, and nobody waits
        (False, True, ["asked", "cancelled"]),
    ],
    ids=["on several hosts", "nothing was asked", "on one host"],
)
def test_what_has_asked_a_provider_goes_on_when_its_client_hangs_up(
    confirms: bool, asks: bool, came_to: list[str]
) -> None:
    done = list[str]()

    async def main() -> dict[str, Any] | None:
        begun, left, over = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def work(memory: RequestMemory | None) -> dict[str, Any]:
            assert memory is not None
            try:
                if asks:
                    await memory.asking("answer\tsim-a\tm\t1", 0.01)
                    done.append("asked")
                begun.set()
                await left.wait()
            except asyncio.CancelledError:
                done.append("cancelled")
                over.set()
                raise
            done.append("answered")
            return {"request_id": "req-1"}

        share = StorageShare(RedisLink(None, ""), "", 1 << 20)
        idempotency = Idempotency(Kept(), Own(shared=True, confirms=confirms), journals(), share)

        def ask() -> Coroutine[Any, Any, Any]:
            return idempotency.once(request(idempotency_key="k"), Caller(None, None, ""), Body(), work)

        async with asyncio.timeout(20):
            client = asyncio.create_task(ask())
            await begun.wait()
            client.cancel()
            await asyncio.gather(client, return_exceptions=True)
            if came_to[-1] == "cancelled":
                await over.wait()
                return None
            again = asyncio.create_task(ask())
            left.set()
            return dict(await again)

    assert asyncio.run(main()) == ({"request_id": "req-1"} if came_to[-1] == "answered" else None)
    assert done == came_to
