"""Routes whose endpoint takes one body: described by FastAPI, read by hand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, get_type_hints

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from techsapo_ops.adapters.jsons import load
from techsapo_ops.messages import msg
from techsapo_ops.serve.http.auth import Caller
from techsapo_ops.serve.http.problems import Problem

MOST_DEPTH = 64
"""Levels of arrays and objects that a body may have: ten times what any field of the API has. What works on
a body afterwards, such as its digest for an Idempotency-Key, goes one call of Python deeper for each level.
"""

Admit = Callable[[Request], Awaitable[Caller]]
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def body_route(admit: Admit, check: Callable[[Any], None] = lambda _: None) -> type[APIRoute]:
    """A class of routes to `endpoint(body, request)`; one without `body` is called as FastAPI does it.

    The caller is let in before the body is looked at, as `request.state.caller`: a stranger learns nothing of
    what a body must hold, and wrong ones count against the rate. Further parameters of the endpoint only
    describe headers: they keep their defaults. FastAPI's own way, which solves dependencies that there are
    none of, takes a tenth of an analysis' processor time. `check` raises a Problem of its own for JSON that
    is no such body.
    """

    class BodyRoute(APIRoute):
        def get_route_handler(self) -> Handler:
            """What handles a request; it raises Problem or RequestValidationError."""
            endpoint = self.endpoint
            model = get_type_hints(endpoint).get("body")
            if model is None:
                return super().get_route_handler()

            async def handle(request: Request) -> Response:
                request.state.caller = await admit(request)
                try:
                    body = await _read(request, model, check)
                except ClientDisconnect:
                    return Response(status_code=499)
                response: Response = await endpoint(body=body, request=request)
                return response

            return handle

    return BodyRoute


async def _read(request: Request, model: type[BaseModel], check: Callable[[Any], None]) -> BaseModel:
    raw = await request.body()
    if not raw:
        raise _refused("empty", "is empty; send a JSON object")
    if not _is_json(request.headers.get("content-type", "")):
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
        found = error.errors(include_url=False, include_input=False)
        raise RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in found]) from None


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
