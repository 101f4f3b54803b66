"""The bound on the bodies of requests, as plain ASGI: on each, and on all that are held at once.

Their time is bounded with that of the whole request, in `transports`.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from techsapo_ops.messages import msg
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.serve.http.proxies import header_of

SMALL = 16 * 1024
"""Bytes of a body that are always read, however much is held: several times a usual question."""
HELD = 64 * 1024 * 1024
"""Most bytes of larger bodies that are held at once: as many analyses as an instance makes, at 1 MB each. No
prompt that is accepted comes near (`app.limits.max_prompt`).
"""


class BodyLimit:
    """Lets a body be read whole, up to `limit` bytes; a longer one is answered 413, a chunked one too.

    Nothing is read before the application asks: of a caller that is refused for its key, nothing is. A body
    beyond the bounds is a Problem where it is read.
    """

    def __init__(self, app: ASGIApp, limit: int, held: int = HELD) -> None:
        self._app = app
        self._limit = limit
        self._most_held = held
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = header_of(scope, b"content-length")
        if length is None and header_of(scope, b"transfer-encoding") is None:
            await self._app(scope, receive, send)
            return
        if length is not None and int(length) > self._limit:
            response = self._too_large(scope).answer(scope)
            await response(scope, receive, send)
            return
        held, read = 0, False

        async def receive_whole() -> Message:
            """The whole body, once; then what the server tells. Raises Problem beyond the bounds."""
            nonlocal held, read
            if read:
                return await receive()
            read = True
            body, more = bytearray(), True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return message
                part = message.get("body", b"")
                held += self._hold(scope, len(body), len(part))
                body += part
                more = message.get("more_body", False)
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        try:
            await self._app(scope, receive_whole, send)
        finally:
            self._held -= held

    def _hold(self, scope: Scope, size: int, more: int) -> int:
        """How much of `more` bytes behind `size` counts as held. Raises Problem where there is no room."""
        if size + more > self._limit:
            raise self._too_large(scope)
        beyond = max(0, size + more - SMALL) - max(0, size - SMALL)
        if self._held + beyond > self._most_held:
            _close(scope)
            raise Problem(503, "overloaded", msg("too many large bodies are held already"), retry_after=1.0)
        self._held += beyond
        return beyond

    def _too_large(self, scope: Scope) -> Problem:
        _close(scope)
        return Problem(
            413,
            "body_too_large",
            msg("the body is larger than {limit} bytes", limit=self._limit),
            max_body=self._limit,
        )


def _close(scope: Scope) -> None:
    """Let the connection end after the answer: the rest of the body is not read."""
    state = scope["state"]
    state["headers"] = {**state.get("headers", {}), "Connection": "close"}
