"""The ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI, Request
from starlette.responses import Response

from techsapo_ops.serve import health
from techsapo_ops.serve.answers import Answers
from techsapo_ops.serve.api import api_routes
from techsapo_ops.serve.chat import chat_routes
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
        chores = [asyncio.create_task(parts.spending.watch()), asyncio.create_task(parts.registry.warm())]
        if parts.cache.uses_redis:
            chores.append(asyncio.create_task(health.watch_cache(parts)))
        for name, reason in parts.registry.unavailable.items():
            log.warning("Provider is not available", provider=name, reason=reason)
        try:
            yield
        finally:
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
        openapi_url=None,  # its own route below, so that requests for it are counted by template
        lifespan=lifespan,
    )
    add_problem_handlers(app)
    app.include_router(page_routes(parts.spec.locale))
    _add_probes(app, parts)
    answers, replies = Answers(parts), Replies(parts)
    app.include_router(api_routes(parts, answers, replies))
    app.include_router(chat_routes(parts, answers, replies))
    # The last one added is the outermost.
    app.add_middleware(BodyLimit, limit=size_bytes(parts.spec.app.limits.max_body))
    app.add_middleware(Envelope, metrics=parts.metrics, lifecycle=parts.lifecycle)
    return app


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
        return json_response(app.openapi())
