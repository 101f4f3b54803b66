"""A question with a key whose client hangs up: on several hosts it goes on for whoever sends it again."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from pydantic import BaseModel
from rows import each_row
from starlette.requests import Request

from techsapo_ops.serve.auth import Caller
from techsapo_ops.serve.idempotency import Idempotency
from techsapo_ops.serve.request_memory import RequestMemory
from techsapo_ops.stores.cache import AnswerCache
from techsapo_ops.stores.flights import Held, SharedLock
from techsapo_ops.stores.kept_share import KeptShare
from techsapo_ops.stores.redis_link import RedisLink
from techsapo_ops.stores.request_journal import RequestJournals


class Body(BaseModel):
    """A question."""


class Kept:
    async def get(self, name: str) -> None:
        return None

    async def set(self, name: str, value: bytes, life: float) -> bool:
        return False


class Lock:
    """A lock that is had."""

    shared = True

    def __init__(self, *, confirms: bool) -> None:
        self.confirms = confirms

    async def run_once(self, key: str, doing: str, found: Any, work: Any, surely: Any = None) -> Any:
        return await work(Held("lock", doing))


def request() -> Request:
    headers = [(b"idempotency-key", b"k")]
    scope = {"type": "http", "path": "/api/v1/generate", "headers": headers, "state": {"request_id": "req-1"}}
    return Request(scope)


@each_row(
    "confirms, asks, came_to",
    [
        (True, True, ["asked", "answered"]),
        (True, False, ["cancelled"]),  # nothing was asked yet, and nobody waits
        (False, True, ["asked", "cancelled"]),
    ],
)
def test_what_has_asked_a_provider_goes_on_when_its_client_hangs_up(
    confirms: bool, asks: bool, came_to: list[str]
) -> None:
    done = list[str]()

    async def work(memory: RequestMemory | None) -> dict[str, Any]:
        assert memory is not None
        try:
            if asks:
                await memory.asking("answer\tsim-a\tm\t1", 0.01)
                done.append("asked")
            await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            done.append("cancelled")
            raise
        done.append("answered")
        return {"request_id": "req-1"}

    async def main() -> dict[str, Any] | None:
        idempotency = Idempotency(
            cast(AnswerCache, Kept()),
            cast(SharedLock, Lock(confirms=confirms)),
            RequestJournals(RedisLink(None, ""), "", None, lambda: None),
            KeptShare(RedisLink(None, ""), "", 1 << 20),
        )
        nobody = Caller(None, None, "")
        client = asyncio.create_task(idempotency.once(request(), nobody, Body(), work))
        await asyncio.sleep(0.02)
        client.cancel()
        await asyncio.sleep(0.02)
        if came_to[-1] == "answered":
            return await idempotency.once(request(), nobody, Body(), work)
        await asyncio.sleep(0.2)
        return None

    answer = asyncio.run(main())
    assert done == came_to
    assert answer == ({"request_id": "req-1"} if came_to[-1] == "answered" else None)
