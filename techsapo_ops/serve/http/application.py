"""The FastAPI application, and /openapi.json: what it describes of its routes, and what it can't know of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.responses import Response
from starlette.types import Lifespan

from techsapo_ops.serve.bodies.base import ProblemBody
from techsapo_ops.serve.http.problems import add_problem_handlers
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


def fastapi_app(
    version: str,
    lifespan: Lifespan[FastAPI],
    routers: Sequence[APIRouter],
    *,
    keys: bool,
    admit: Callable[[Request], Awaitable[None]],
) -> FastAPI:
    """The application of `routers`, with what all of them share. `keys`: whether questions need a key."""
    app = FastAPI(
        title="TechSapo",
        version=version,
        description="Several models, one answer with a confidence score.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect through nginx would lose its port
        openapi_url=None,  # its own route below, so that requests for it are counted by template
        lifespan=lifespan,
        dependencies=[Depends(admit)],
    )
    add_problem_handlers(app)
    for router in routers:
        app.include_router(router)

    @app.get("/openapi.json", include_in_schema=False)
    async def description() -> Response:
        return json_response(described(app.openapi(), keys=keys))

    return app


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
