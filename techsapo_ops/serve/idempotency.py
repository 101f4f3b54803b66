"""Idempotency-Key: the same request sent twice is carried out once."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any, Never

from pydantic import BaseModel
from starlette.requests import Request

from techsapo_ops.adapters.jsons import dump, load
from techsapo_ops.serve.auth import Caller
from techsapo_ops.serve.own_time import OwnTime
from techsapo_ops.serve.problems import Problem
from techsapo_ops.stores.cache import AnswerCache
from techsapo_ops.stores.flights import Flight, Flights, SharedLock

KEEP = 24 * 3600.0
"""Seconds for which an answer is given again."""
_SANE = re.compile(r"[\x21-\x7e]{1,255}")

Document = dict[str, Any]


class Idempotency:
    """Answers by Idempotency-Key, for one caller and path. Only answers are kept, never problems."""

    def __init__(self, kept: AnswerCache, lock: SharedLock) -> None:
        self._kept = kept
        self._lock = lock
        self._flights = Flights[Document, Never]()

    async def once(
        self, request: Request, caller: Caller, body: BaseModel, work: Callable[[], Awaitable[Document]]
    ) -> Document:
        """What `work` gives, or gave when this key came first; one that is under way is waited for.

        Raises Problem where the key came with another body before.
        """
        key = request.headers.get("idempotency-key")
        if key is None:
            return await work()
        if not _SANE.fullmatch(key):
            raise Problem(422, "invalid_request", "Idempotency-Key must be 1 to 255 printable characters")
        sent = hashlib.sha256(
            json.dumps(body.model_dump(), sort_keys=True, default=str).encode(errors="surrogatepass")
        ).hexdigest()
        name = hashlib.sha256(f"{caller.id}\n{request.url.path}\n{key}".encode()).hexdigest()

        async def fly(_: Flight[Document, Never]) -> Document:
            async def first() -> Document:
                reply = {"sent": sent, "document": await work()}
                await self._kept.set(name, dump(reply), KEEP)
                return reply

            reply, _here = await self._lock.run(name, lambda: self._found(name), first)
            return reply

        flight, mine = self._flights.board(name, fly)
        time = OwnTime.of(request.scope)
        time.elsewhere = not mine
        with flight.aboard():
            reply = await flight.result()
        if reply["sent"] != sent:
            raise Problem(422, "idempotency_key_reused", "this Idempotency-Key came with another body before")
        document: Document = reply["document"]
        if not mine or document["request_id"] != request.state.request_id:
            time.elsewhere = True
            request.state.headers = {
                **getattr(request.state, "headers", {}),
                "Idempotency-Replayed": "true",
            }
        return document

    async def _found(self, name: str) -> Document | None:
        raw = await self._kept.get(name)
        return None if raw is None else dict(load(raw))
