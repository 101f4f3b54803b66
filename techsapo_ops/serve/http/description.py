"""/openapi.json: what FastAPI describes of its routes, and what it can't know of."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from techsapo_ops.serve.bodies.problem import ProblemBody
from techsapo_ops.serve.metrics.live import SSE_PATH, STREAM

OPENAI_PREFIX = "/v1/"
ANYWHERE = (400, 421, 429, 431, 500, 503)
"""What every operation may answer, before or after its own code."""
OPEN = ("/ping", "/health")
"""Probes: never asked for a key."""
WATCHED = frozenset({"monitoring", "health"})
"""Tags of what the stack's own network sees without a key."""
SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key that `techsapo keys create` made."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same, for clients "
               "that can't send Authorization."},
}  # fmt: skip


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
