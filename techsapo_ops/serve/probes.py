"""Routes that whoever runs the instance asks: health, drain, metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from techsapo_ops.serve.auth import Gate
from techsapo_ops.serve.bodies.health import AliveBody, HealthBody
from techsapo_ops.serve.bodies.problem import problem_responses
from techsapo_ops.serve.health import Health
from techsapo_ops.serve.lifecycle import Lifecycle
from techsapo_ops.serve.responses import json_response


def probe_routes(
    gate: Gate, health: Health, lifecycle: Lifecycle, render: Callable[[str], tuple[bytes, str]]
) -> APIRouter:
    """/health, /api/v1/health, /ping and /metrics; `render` makes the metrics for an Accept header."""
    router = APIRouter()

    @router.head("/health", include_in_schema=False)
    @router.get(
        "/health",
        tags=["health"],
        summary="Can this process work?",
        response_model=AliveBody,
        responses={503: {"model": AliveBody}},
    )
    async def basic_health() -> Response:
        status, body = health.basic()
        return json_response(body, status)

    @router.get(
        "/api/v1/health",
        tags=["health"],
        summary="Every dependency, and which one is in use.",
        response_model=HealthBody,
        responses={**problem_responses(401, 403), 503: {"model": HealthBody}},
    )
    async def detailed_health(request: Request) -> Response:
        await gate.admit_monitor(request)
        status, body = await health.detailed()
        return json_response(body, status)

    @router.head("/ping", include_in_schema=False)
    @router.get(
        "/ping",
        tags=["health"],
        summary="Wants new requests?",
        response_class=PlainTextResponse,
        responses={503: {"description": "The instance drains.", "content": {"text/plain": {}}}},
    )
    async def ping() -> Response:
        if lifecycle.draining:
            return Response("draining\n", 503, media_type="text/plain")
        return Response("pong\n", media_type="text/plain")

    @router.get(
        "/metrics",
        tags=["monitoring"],
        summary="Metrics in Prometheus's format.",
        response_class=PlainTextResponse,
        responses=problem_responses(401, 403),
    )
    async def metrics(request: Request) -> Response:
        await gate.admit_monitor(request)
        accept = request.headers.get("accept", "")
        body, content_type = await asyncio.to_thread(render, accept)
        return Response(body, headers={"Content-Type": content_type})

    return router
