"""Server-sent events: the status is right, silence is filled, and a client that goes ends the work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from techsapo_ops.adapters.jsons import dump
from techsapo_ops.serve.problems import Problem

HEARTBEAT = 15.0
"""Seconds of silence after which a comment is sent, so that no proxy takes the connection for dead."""
MEDIA_TYPE = "text/event-stream"
STREAM_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx passes each event on at once
)


def sse(value: Any, name: str | None = None) -> bytes:
    """One event."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + dump(value) + b"\n\n"


class EventStream(Response):
    """Sends what `produce` yields. A Problem before the first event is the HTTP answer itself; a later one
    is what `complain` makes of it. The work is cancelled when the client goes away.
    """

    def __init__(
        self, produce: Callable[[], AsyncIterator[bytes]], complain: Callable[[Problem, str], bytes]
    ) -> None:
        super().__init__(media_type=MEDIA_TYPE)
        self._produce = produce
        self._complain = complain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        queue: asyncio.Queue[bytes | Problem | None] = asyncio.Queue(maxsize=64)
        work = asyncio.create_task(self._fill(queue))
        sending = asyncio.create_task(self._send(queue, scope, receive, send))
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
            if work.done():
                work.result()
        finally:
            for task in (work, sending, gone):
                if not task.done():
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task

    async def _fill(self, queue: asyncio.Queue[bytes | Problem | None]) -> None:
        stream = self._produce()
        try:
            async for chunk in stream:
                await queue.put(chunk)
        except Problem as problem:
            await queue.put(problem)
        finally:
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()
            with suppress(asyncio.QueueFull):  # only when it was cancelled, and then nobody reads on
                queue.put_nowait(None)

    async def _send(
        self, queue: asyncio.Queue[bytes | Problem | None], scope: Scope, receive: Receive, send: Send
    ) -> None:
        item = await queue.get()
        if isinstance(item, Problem):
            await item.answer(scope)(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": list(STREAM_HEADERS)})
        while item is not None:
            if isinstance(item, Problem):
                request_id = str(scope.get("state", {}).get("request_id", ""))
                item.note(scope)
                item = self._complain(item, request_id)
            await send({"type": "http.response.body", "body": item, "more_body": True})
            item = await self._next(queue)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    @staticmethod
    async def _next(queue: asyncio.Queue[bytes | Problem | None]) -> bytes | Problem | None:
        try:
            return await asyncio.wait_for(queue.get(), HEARTBEAT)
        except TimeoutError:
            return b": still at work\n\n"


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
