"""Bodies of requests: the bound on each and on all at once, and routes that are called without FastAPI.

Their time is bounded with that of the whole request, in `transports`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, get_type_hints

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override

from techsapo_ops.adapters.jsons import load
from techsapo_ops.messages import msg
from techsapo_ops.serve.http.auth import Caller
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
            raise Problem(
                503, "overloaded", msg("too many large requests are in memory already"), retry_after=1.0
            )
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


MOST_DEPTH = 64
"""Levels of arrays and objects that a body may have: ten times what any field of the API has. What works on
a body afterwards, such as its digest for an Idempotency-Key, goes one call of Python deeper for each level.
"""
Admit = Callable[[Request], Awaitable[Caller]]
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class PlainRoute(APIRoute):
    """A route to `endpoint(request)`; one that takes more is called as FastAPI does it.

    FastAPI's way, which solves dependencies that there are none of, costs more than all that is ours.
    """

    def handler(self) -> Handler | None:
        """What handles a request; None where FastAPI does."""
        taken = [hint for name, hint in get_type_hints(self.endpoint).items() if name != "return"]
        return self.endpoint if taken == [Request] else None

    @override
    def get_route_handler(self) -> Handler:
        return self.handler() or super().get_route_handler()


def body_route(admit: Admit, check: Callable[[Any], None] = lambda _: None) -> type[PlainRoute]:
    """A class of routes to `endpoint(body, request)`, with what its path names, and to those without `body`.

    The caller is let in before the body is looked at, as `request.state.caller`: a stranger learns nothing of
    what a body must hold, and wrong ones count against the rate. Further parameters of the endpoint only
    describe headers: they keep their defaults. `check` raises a Problem of its own for JSON that is no such
    body.
    """

    class BodyRoute(PlainRoute):
        @override
        def handler(self) -> Handler | None:
            endpoint = self.endpoint
            model = get_type_hints(endpoint).get("body")
            if model is None:
                return super().handler()

            async def handle(request: Request) -> Response:
                request.state.caller = await admit(request)
                try:
                    raw = await request.body()
                except ClientDisconnect:
                    return Response(status_code=499)
                body = _read(request.scope, raw, model, check)
                response: Response = await endpoint(body=body, request=request, **request.path_params)
                return response

            return handle

    return BodyRoute


def _read(scope: Scope, raw: bytes, model: type[BaseModel], check: Callable[[Any], None]) -> BaseModel:
    if not raw:
        raise _refused("empty", "is empty; send a JSON object")
    if not _is_json(header_of(scope, b"content-type") or ""):
        raise Problem(415, "unsupported_media_type", msg("Content-Type must be application/json"))
    try:
        value = load(raw)
    except (ValueError, RecursionError):
        raise _refused("json_invalid", "JSON decode error") from None
    if deeper_than(MOST_DEPTH, value, raw):
        raise _refused("too_deep", f"is nested deeper than {MOST_DEPTH} levels")
    check(value)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        raise RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in faults]) from None


def deeper_than(levels: int, value: Any, raw: bytes) -> bool:
    """Whether the JSON `value` of `raw` has more levels of arrays and objects than that."""
    if raw.count(b"[") + raw.count(b"{") <= levels:  # most bodies: nothing is walked through
        return False
    level = [value]
    for _ in range(levels):
        held = (v for v in level if isinstance(v, (dict, list)))
        level = [each for v in held for each in (v.values() if isinstance(v, dict) else v)]
    return any(isinstance(v, (dict, list)) for v in level)


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _refused(kind: str, message: str) -> RequestValidationError:
    return RequestValidationError([{"type": kind, "loc": ("body",), "msg": message}])
