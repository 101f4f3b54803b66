"""What routes answer with: JSON, server-sent events, and work that ends with its client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from fastapi import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from techsapo_ops.adapters.jsons import dump
from techsapo_ops.serve.bodies.base import Body
from techsapo_ops.serve.http.problems import Problem, for_openai
from techsapo_ops.serve.metrics.own_time import OwnTime

T = TypeVar("T")


async def while_connected(request: Request, work: Awaitable[T]) -> T | None:
    """The result of `work`; None when the client goes away first, which cancels the work."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine that runs is in one
    gone = asyncio.create_task(disconnected(request.receive))

    left = False

    def leave(_: asyncio.Task[None]) -> None:
        nonlocal left
        left = not task.cancelling() and task.cancel()

    gone.add_done_callback(leave)
    try:
        return await work
    except asyncio.CancelledError:
        if not left or task.uncancel():  # it is the server that cancels
            raise
        return None
    finally:
        gone.remove_done_callback(leave)
        gone.cancel()


async def disconnected(receive: Receive) -> None:
    """Wait for the end of the connection; what the client says before is read and let go."""
    while (await receive())["type"] not in {"http.disconnect", "websocket.disconnect"}:
        pass


def json_response(body: Body | Mapping[str, Any], status: int = 200) -> Response:
    """`body`, or the document of one, as JSON, Japanese as it is."""
    document = body.document() if isinstance(body, Body) else body
    return Response(dump(document), status, media_type="application/json")


KEY_CHECK = 1.0
"""Seconds between two looks at whether the key of an open stream is still good."""
BEGIN_WITHIN = 2.0
"""Seconds after which the headers of a stream are sent, whatever its work waits for: what refuses a request,
such as a budget whose money is reserved by others for a moment, has spoken by then.
"""
LAST_EVENT = 2.0
"""Seconds that a client has to take the event that tells why its stream ends."""
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


def comment(words: str) -> bytes:
    """What every client passes over."""
    return f": {words}\n\n".encode()


Written = bytes | Callable[[], Awaitable[bytes]]
"""An event or comment, or what writes it when it is sent: a fault there fails no work that others share."""
Put = Callable[[Written], None]
"""Takes one. It does not wait for the client, since whoever asks the same waits for the work."""
_Queue = asyncio.Queue[Written | Problem | None]


class EventStream(Response):
    """Sends what `work` puts, headers with the first event or after BEGIN_WITHIN seconds.

    A Problem before them is the HTTP answer itself; a later one is an event. The work is
    cancelled when the client goes away, and when `barred` tells a Problem, which ends the stream.
    """

    def __init__(
        self,
        work: Callable[[Put], Awaitable[None]],
        barred: Callable[[], Problem | None] | None = None,
    ) -> None:
        super().__init__(media_type=MEDIA_TYPE)
        self._work = work
        self._barred = barred

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        queue: _Queue = asyncio.Queue()
        work = asyncio.create_task(self._fill(queue, OwnTime.of(scope)))
        sending = asyncio.create_task(self._send(queue, scope, receive, send))
        ends = {sending, asyncio.create_task(disconnected(receive))}
        interval = None if self._barred is None else KEY_CHECK
        try:
            while not (await asyncio.wait(ends, timeout=interval, return_when=asyncio.FIRST_COMPLETED))[0]:
                problem = None if self._barred is None or work.done() else self._barred()
                if problem is not None:
                    await _end(work, queue, problem)
                    await asyncio.wait(ends, timeout=LAST_EVENT, return_when=asyncio.FIRST_COMPLETED)
                    break
            if sending.done():
                sending.result()
            if work.done() and not work.cancelled():
                work.result()
        finally:
            for task in (work, *ends):
                if not task.done():
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task

    async def _fill(self, queue: _Queue, time: OwnTime) -> None:
        """Do the work, and put None behind what it puts into `queue`."""

        def put(item: Written) -> None:
            time.first_event()
            queue.put_nowait(item)

        try:
            await self._work(put)
        except Problem as problem:
            queue.put_nowait(problem)
        except Exception:
            queue.put_nowait(None)
            raise
        queue.put_nowait(None)

    async def _send(self, queue: _Queue, scope: Scope, receive: Receive, send: Send) -> None:
        item = await self._next(queue, BEGIN_WITHIN)
        if isinstance(item, Problem):
            await item.answer(scope)(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": list(STREAM_HEADERS)})
        while item is not None:
            if isinstance(item, Problem):
                item.note(scope)
                item = sse(item.body(scope), None if for_openai(scope) else "problem")
            written = item if isinstance(item, bytes) else await item()
            await send({"type": "http.response.body", "body": written, "more_body": True})
            item = await self._next(queue, HEARTBEAT)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    @staticmethod
    async def _next(queue: _Queue, patience: float) -> Written | Problem | None:
        """The next item, or a comment after so many seconds of silence."""
        try:
            # Not asyncio.wait_for: Python 3.11's loses a cancellation that comes together with an item.
            async with asyncio.timeout(patience):
                return await queue.get()
        except TimeoutError:
            return comment("still at work")


async def _end(work: asyncio.Task[None], queue: _Queue, problem: Problem) -> None:
    """End `work`, with `problem` as its last word."""
    work.cancel()
    await asyncio.wait({work})
    while not queue.empty():
        queue.get_nowait()
    queue.put_nowait(problem)
    queue.put_nowait(None)
