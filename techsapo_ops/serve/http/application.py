"""The FastAPI application, and /openapi.json: what it describes of its routes, and what it can't know of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send
from typing_extensions import override

from techsapo_ops.serve.bodies.base import ProblemBody
from techsapo_ops.serve.http.request_body import PlainRoute
from techsapo_ops.serve.http.responses import json_response
from techsapo_ops.serve.metrics.stream import SSE_PATH, STREAM

OPENAI_PREFIX = "/v1/"
ANYWHERE = (400, 421, 429, 431, 500, 503)
"""What every operation may answer, before or after its own code."""
OPEN = ("/ping", "/health")
"""Probes: never asked for a key."""
WATCHED = frozenset({"monitoring", "health"})
"""Tags of what the stack's own network sees without a key."""
SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key made by `techsapo keys create`."},
    "header": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "The same key, for clients that can't send Authorization.",
    },
}  # fmt: skip


class Application(FastAPI):
    """FastAPI's routes and their document within `layers`, which take the place of its own.

    Those would look after errors, traces and long bodies a second time. A plain route is found by its path;
    only others are tried one after the other.
    """

    def __init__(
        self, version: str, lifespan: Lifespan[FastAPI], layers: Callable[[ASGIApp], ASGIApp]
    ) -> None:
        super().__init__(
            telemetry={"tracing": False, "metrics": False, "logs": False},
            title="TechSapo",
            version=version,
            description="Several models, one answer with a confidence score.",
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,  # a redirect through nginx would lose its port
            openapi_url=None,  # a route of its own, so that requests for it are counted by template
            lifespan=lifespan,
        )
        self._layers = layers

    @override
    def build_middleware_stack(self) -> ASGIApp:
        plain = [route for route in self.routes if isinstance(route, PlainRoute)]
        known = {(m, r.path): (r, handle) for r in plain if (handle := r.handler()) for m in r.methods or ()}
        others = AsyncExitStackMiddleware(self.router)

        async def routed(scope: Scope, receive: Receive, send: Send) -> None:
            found = known.get((scope.get("method", ""), scope.get("path", "")))  # a lifespan has neither
            if found is None:
                await others(scope, receive, send)
                return
            scope["route"], handle = found
            response = await handle(Request(scope, receive, send))
            await response(scope, receive, send)

        return self._layers(routed)


def add_routes(
    app: Application,
    routers: Sequence[APIRouter],
    pages: Sequence[APIRouter],
    *,
    keys: bool,
    admit: Callable[[Request], Awaitable[None]],
) -> None:
    """Give `app` the `routers`, which are tried first, and the `pages`, whose callers `admit` lets in.

    `keys`: whether questions need a key.
    """
    for router in routers:  # an included one is looked through three times for each request
        app.router.routes.extend(router.routes)
    for router in pages:
        app.include_router(router, dependencies=[Depends(admit)])

    # Not async: making it takes a quarter of a second, which other requests need not wait for.
    @app.get("/openapi.json", include_in_schema=False)
    def description() -> Response:
        return json_response(described(app.openapi(), keys=keys))


def described(document: dict[str, Any], *, keys: bool) -> dict[str, Any]:
    """The OpenAPI `document` with how a caller logs in, the stream, and what every operation may answer.

    `keys`: whether questions need a key.
    """
    paths = {**document["paths"], SSE_PATH: {"get": STREAM}}
    components = document.get("components", {})
    return {
        **document,
        "components": {**components, "securitySchemes": SCHEMES},
        "paths": {
            path: {method: _operation(path, operation, keys) for method, operation in operations.items()}
            for path, operations in paths.items()
        },
    }


def _operation(path: str, operation: dict[str, Any], keys: bool) -> dict[str, Any]:
    answers = _OPENAI if path.startswith(OPENAI_PREFIX) else _PROBLEMS
    operation = {**operation, "responses": {**answers, **operation["responses"]}}
    if path in OPEN:
        return operation
    optional = not keys or bool(WATCHED & set(operation.get("tags", ())))
    return {**operation, "security": [*({name: []} for name in SCHEMES), *([{}] if optional else [])]}


def _answers(content: dict[str, Any]) -> dict[str, Any]:
    return {
        str(status): {"description": HTTPStatus(status).phrase, "content": content} for status in ANYWHERE
    }


_PROBLEMS = _answers({"application/problem+json": {"schema": ProblemBody.model_json_schema()}})
_OPENAI = _answers({"application/json": {"schema": {"$ref": "#/components/schemas/OpenAIErrorBody"}}})
