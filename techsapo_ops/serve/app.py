"""The ASGI application."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
from fastapi import FastAPI, Header, Request
from starlette.responses import Response

from techsapo_ops.serve import health
from techsapo_ops.serve.answers import Answers
from techsapo_ops.serve.bodies import AnswerBody, GenerateBody, problem_responses
from techsapo_ops.serve.middleware import BodyLimit, Envelope
from techsapo_ops.serve.pages import page_routes
from techsapo_ops.serve.parts import Parts
from techsapo_ops.serve.problems import add_problem_handlers
from techsapo_ops.spec.models.base import size_bytes

log = structlog.get_logger()

_SANE_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
CLOSE_TIMEOUT = 5.0
"""Seconds that providers get to give their connections back."""
LAST_WORDS = 0.05
"""Seconds in which requests that were cut off at the end still write their audit row."""


def create_app(parts: Parts) -> FastAPI:
    """The app over `parts`; its lifespan starts the audit writer and closes everything at the end."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        parts.audit.start()
        watcher = asyncio.create_task(health.watch_cache(parts)) if parts.cache.uses_redis else None
        for name, reason in parts.registry.unavailable.items():
            log.warning("Provider is not available", provider=name, reason=reason)
        try:
            yield
        finally:
            if watcher is not None:
                watcher.cancel()
                with suppress(asyncio.CancelledError):
                    await watcher
            await asyncio.sleep(LAST_WORDS)
            await asyncio.to_thread(parts.audit.close)
            closing = [asyncio.create_task(p.close()) for p in parts.registry.usable]
            await asyncio.wait(closing, timeout=CLOSE_TIMEOUT)
            await parts.cache.close()

    app = FastAPI(
        title="TechSapo",
        version=parts.version,
        description="Several models, one answer. Scores are provisional in this version.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,  # its own route below, so that requests for it are counted by template
        lifespan=lifespan,
    )
    add_problem_handlers(app)
    app.include_router(page_routes(parts.spec.locale))
    _add_probes(app, parts)
    _add_api(app, parts)
    # The last one added is the outermost.
    app.add_middleware(BodyLimit, limit=size_bytes(parts.spec.app.limits.max_body))
    app.add_middleware(Envelope, metrics=parts.metrics, lifecycle=parts.lifecycle)
    return app


def _add_probes(app: FastAPI, parts: Parts) -> None:
    @app.head("/health", include_in_schema=False)
    @app.get("/health", tags=["health"], summary="Can this process work?")
    async def basic_health() -> Response:
        status, body = health.basic(parts)
        return _json(body, status)

    @app.get("/api/v1/health", tags=["health"], summary="Every dependency, and which one is in use.")
    async def detailed_health() -> Response:
        status, body = await health.detailed(parts)
        return _json(body, status)

    @app.head("/ping", include_in_schema=False)
    @app.get("/ping", tags=["health"], summary="Wants new requests?")
    async def ping() -> Response:
        if parts.lifecycle.draining:
            return Response("draining\n", 503, media_type="text/plain")
        return Response("pong\n", media_type="text/plain")

    @app.get("/metrics", tags=["monitoring"], summary="Metrics in Prometheus's format.")
    async def metrics(request: Request) -> Response:
        accept = request.headers.get("accept", "")
        body, content_type = await asyncio.to_thread(parts.metrics.render, accept)
        return Response(body, headers={"Content-Type": content_type})

    @app.get("/openapi.json", include_in_schema=False)
    async def description() -> Response:
        return _json(app.openapi())


def _add_api(app: FastAPI, parts: Parts) -> None:
    answers = Answers(parts)

    @app.post(
        "/api/v1/generate",
        tags=["orchestrator"],
        summary="Ask several models and get one answer with its scores.",
        response_model=AnswerBody,
        responses=problem_responses(400, 402, 413, 422, 500, 502, 503, 504),
    )
    async def generate(
        body: GenerateBody,
        request: Request,
        x_user_id: str | None = Header(default=None, description="Who asks, for the audit log."),
    ) -> Response:
        user = x_user_id if x_user_id and _SANE_USER.fullmatch(x_user_id) else None
        work = answers.answer(body.prompt, body.task_type, request_id=request.state.request_id, user_id=user)
        document = await _while_connected(request, work)
        return Response(status_code=499) if document is None else _json(document)


async def _while_connected(request: Request, work: Any) -> dict[str, Any] | None:
    """The result of `work`; None when the client goes away first, which cancels the work."""
    task: asyncio.Task[dict[str, Any]] = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        return None
    finally:
        for unfinished in (task, gone):
            if not unfinished.done():
                unfinished.cancel()
                with suppress(asyncio.CancelledError):
                    await unfinished


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _json(value: Any, status: int = 200) -> Response:
    content = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
    return Response(content, status, media_type="application/json")
