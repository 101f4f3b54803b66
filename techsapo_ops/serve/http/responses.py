"""What routes share: JSON answers, and work that ends with its client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from fastapi import Request
from starlette.responses import Response
from starlette.types import Receive

from techsapo_ops.adapters.jsons import dump
from techsapo_ops.serve.bodies.base import Body

T = TypeVar("T")


async def while_connected(request: Request, work: Awaitable[T]) -> T | None:
    """The result of `work`; None when the client goes away first, which cancels the work."""
    task: asyncio.Future[T] = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(disconnected(request.receive))
    try:
        both: set[asyncio.Future[Any]] = {task, gone}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        return None
    finally:
        for unfinished in (task, gone):
            if not unfinished.done():
                unfinished.cancel()
                with suppress(asyncio.CancelledError):
                    await unfinished


async def disconnected(receive: Receive) -> None:
    """Wait for the end of the connection; what the client says before is read and let go."""
    while (await receive())["type"] not in {"http.disconnect", "websocket.disconnect"}:
        pass


def json_response(body: Body | Mapping[str, Any], status: int = 200) -> Response:
    """`body`, or the document of one, as JSON, Japanese as it is."""
    document = body.document() if isinstance(body, Body) else body
    return Response(dump(document), status, media_type="application/json")
