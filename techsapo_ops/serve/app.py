"""The ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from techsapo_ops.serve import health
from techsapo_ops.serve.answers import Answers
from techsapo_ops.serve.api import api_routes
from techsapo_ops.serve.chat import chat_routes
from techsapo_ops.serve.insight import insight_routes
from techsapo_ops.serve.live import described, live_routes
from techsapo_ops.serve.middleware import BodyLimit, Envelope
from techsapo_ops.serve.pages import page_routes
from techsapo_ops.serve.parts import Parts
from techsapo_ops.serve.problems import add_problem_handlers
from techsapo_ops.serve.replies import Replies
from techsapo_ops.serve.requests import json_response
from techsapo_ops.spec.models.base import size_bytes

log = structlog.get_logger()

CLOSE_TIMEOUT = 5.0
"""Seconds that providers get to give their connections back."""
LAST_WORDS = 0.05
"""Seconds in which requests that were cut off at the end still write their audit row."""


def create_app(parts: Parts) -> FastAPI:
    """The app over `parts`; its lifespan starts the audit writer and closes everything at the end."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        parts.audit.start()
        chores = [
            asyncio.create_task(work)
            for work in (parts.spending.watch(), _warm(parts), parts.telemetry.run())
        ]
        if parts.cache.uses_redis:
            chores.append(asyncio.create_task(health.watch_cache(parts)))
        for name, reason in parts.registry.unavailable.items():
            log.warning("Provider is not available", provider=name, reason=reason)
        try:
            yield
        finally:
            parts.telemetry.broadcast.close()
            for chore in chores:
                chore.cancel()
            await asyncio.gather(*chores, return_exceptions=True)
            await asyncio.sleep(LAST_WORDS)
            await asyncio.to_thread(parts.audit.close)
            closing = [asyncio.create_task(p.close()) for p in parts.registry.usable]
            await asyncio.wait(closing, timeout=CLOSE_TIMEOUT)
            for link in (parts.cache, parts.replies, parts.link, parts.gate):
                await link.close()

    app = FastAPI(
        title="TechSapo",
        version=parts.version,
        description="Several models, one answer that can be weighed.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect through nginx would lose its port
        openapi_url=None,  # its own route below, so that requests for it are counted by template
        lifespan=lifespan,
    )
    add_problem_handlers(app)
    answers, replies = Answers(parts), Replies(parts)
    # Questions first: routes are tried in this order.
    for router in (api_routes(parts, answers, replies), chat_routes(parts, answers, replies)):
        app.include_router(router)
        for route in router.routes:
            if isinstance(route, APIRoute) and "POST" in (route.methods or ()):
                parts.metrics.start_route("POST", route.path)
    app.include_router(page_routes(parts.spec.locale, keys=parts.gate.needs_keys))
    _add_probes(app, parts)
    app.include_router(insight_routes(parts))
    app.router.routes.extend(live_routes(parts.telemetry.broadcast, parts.gate))
    parts.lifecycle.at_drain.append(parts.telemetry.broadcast.close)
    # The last one added is the outermost.
    app.add_middleware(BodyLimit, limit=size_bytes(parts.spec.app.limits.max_body))
    app.add_middleware(Envelope, metrics=parts.metrics, lifecycle=parts.lifecycle, anomalies=parts.anomalies)
    return app


async def _warm(parts: Parts) -> None:
    await parts.registry.warm()
    for each in parts.lifecycle.at_warm:
        each()


def _add_probes(app: FastAPI, parts: Parts) -> None:
    @app.head("/health", include_in_schema=False)
    @app.get("/health", tags=["health"], summary="Can this process work?")
    async def basic_health() -> Response:
        status, body = health.basic(parts)
        return json_response(body, status)

    @app.get("/api/v1/health", tags=["health"], summary="Every dependency, and which one is in use.")
    async def detailed_health(request: Request) -> Response:
        await parts.gate.admit_monitor(request)
        status, body = await health.detailed(parts)
        return json_response(body, status)

    @app.head("/ping", include_in_schema=False)
    @app.get("/ping", tags=["health"], summary="Wants new requests?")
    async def ping() -> Response:
        if parts.lifecycle.draining:
            return Response("draining\n", 503, media_type="text/plain")
        return Response("pong\n", media_type="text/plain")

    @app.get("/metrics", tags=["monitoring"], summary="Metrics in Prometheus's format.")
    async def metrics(request: Request) -> Response:
        await parts.gate.admit_monitor(request)
        accept = request.headers.get("accept", "")
        body, content_type = await asyncio.to_thread(parts.metrics.render, accept)
        return Response(body, headers={"Content-Type": content_type})

    @app.get("/openapi.json", include_in_schema=False)
    async def description() -> Response:
        return json_response(described(app.openapi()))
