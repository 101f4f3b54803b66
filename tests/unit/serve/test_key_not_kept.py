"""A key that can't be kept now: the answer says so, and nginx is told to send the question once."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from pydantic import BaseModel
from starlette.requests import Request

from techsapo_ops.serve.auth import Caller
from techsapo_ops.serve.idempotency import ONCE, RETRIED, Idempotency, SendOnce
from techsapo_ops.stores.cache import AnswerCache
from techsapo_ops.stores.flights import SharedLock
from techsapo_ops.stores.request_journal import RequestJournals


class Body(BaseModel):
    """A question."""


class Lock:
    """A lock of instances whose Redis is away, or that have none."""

    def __init__(self, *, shared: bool) -> None:
        self.shared = shared

    async def run_once(self, key: str, found: Any, work: Any) -> Any:
        return await work(None)


class Kept:
    async def set(self, name: str, value: bytes, life: float) -> None:
        return None


def request(**headers: str) -> Request:
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "path": "/api/v1/generate", "headers": sent, "state": {"request_id": "req-1"}}
    return Request(scope)


def asked(shared: bool, came: Request) -> None:
    idempotency = Idempotency(
        cast(AnswerCache, Kept()), cast(SharedLock, Lock(shared=shared)), cast(RequestJournals, None)
    )

    async def work(memory: object) -> dict[str, Any]:
        assert memory is None
        return {"request_id": "req-1"}

    asyncio.run(idempotency.once(came, Caller(None, None, ""), Body(), work))


@pytest.mark.parametrize(("shared", "kept"), [(True, "no"), (False, "instance")])
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
