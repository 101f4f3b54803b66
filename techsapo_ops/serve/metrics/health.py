"""What the health endpoints say, and the routes that whoever runs the instance asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from techsapo_ops.serve.bodies.base import problem_responses
from techsapo_ops.serve.bodies.health import (
    AliveBody,
    AuditHealthBody,
    BreakerBody,
    CacheHealthBody,
    DependenciesBody,
    HealthBody,
    ProviderHealthBody,
)
from techsapo_ops.serve.http.auth import Gate
from techsapo_ops.serve.http.request_body import PlainRoute
from techsapo_ops.serve.http.responses import json_response
from techsapo_ops.serve.instance import Instance, Lifecycle
from techsapo_ops.serve.metrics.provider_health import Standing
from techsapo_ops.stores.audit.log import AuditLog
from techsapo_ops.stores.cache import AnswerCache
from techsapo_ops.stores.flights import Flights
from techsapo_ops.stores.shared import Shared
from techsapo_ops.wallbounce.calls import Turn
from techsapo_ops.wallbounce.providers.failures import advice
from techsapo_ops.wallbounce.providers.guarded import Guarded
from techsapo_ops.wallbounce.providers.registry import Registry
from techsapo_ops.wallbounce.run import FEWEST

Status = Literal["healthy", "degraded", "down"]


@dataclass(frozen=True, slots=True)
class Health:
    """What the health endpoints say of this instance and of what it depends on.

    `standing` tells how a provider of `registry` does.
    """

    instance: Instance
    registry: Registry
    standing: Callable[[str], Standing]
    cache: AnswerCache
    audit: AuditLog
    lifecycle: Lifecycle

    def basic(self) -> tuple[int, AliveBody]:
        """HTTP status and body of /health: whether this process can do its work at all."""
        alive = bool(self.registry.usable) and self.audit.alive
        detail = {} if self.audit.alive else {"detail": "the audit writer has stopped"}
        body = AliveBody(
            status="ok" if alive else "down",
            instance=self.instance.name,
            version=self.instance.version,
            build=self.instance.build,
            **detail,
        )
        return (200 if alive else 503), body

    async def detailed(self) -> tuple[int, HealthBody]:
        """HTTP status and body of /api/v1/health: every dependency, and which one is in use.

        degraded means that answers still come, with a part missing, such as one provider that is down; only
        down is answered 503. It is down too while every provider is down and none may be tried yet.
        """
        cache = await self.cache.check()
        audit = self.audit.status()
        status: Status = "healthy"
        if not cache.healthy or not audit.healthy or self._ailing():
            status = "degraded"
        if not self.audit.alive or self._silent():  # as all do where there is none
            status = "down"
        body = HealthBody(
            status=status,
            instance=self.instance.name,
            version=self.instance.version,
            build=self.instance.build,
            draining=self.lifecycle.draining,
            simulated=self.registry.simulated,
            dependencies=DependenciesBody(
                cache=CacheHealthBody(
                    status="healthy" if cache.healthy else "degraded",
                    in_use=cache.in_use,
                    detail=cache.detail,
                    consecutive_errors=cache.consecutive_errors,
                ),
                audit=AuditHealthBody(
                    status="healthy" if audit.healthy else "degraded",
                    in_use=audit.in_use,
                    detail=audit.detail,
                    consecutive_errors=audit.consecutive_errors,
                    waiting=audit.waiting,
                    spooled=audit.spooled,
                ),
                providers=self._providers(),
            ),
        )
        return (503 if status == "down" else 200), body

    def _providers(self) -> dict[str, ProviderHealthBody]:
        """Each provider's health; for those that can't be used only the reason."""
        bodies = {p.name: self._provider(p) for p in self.registry.usable}
        for name, reason in self.registry.unavailable.items():
            bodies[name] = ProviderHealthBody(status="unavailable", detail=reason)
        return bodies

    def _ailing(self) -> bool:
        """Whether a provider is down, or fewer are there than an analysis needs."""
        up = [self.standing(p.name).up for p in self.registry.usable]
        return not all(up) or len(up) < FEWEST

    def _silent(self) -> bool:
        """Whether no provider can answer now: every one is down and left alone."""
        standings = [self.standing(p.name) for p in self.registry.usable]
        return all(each.turn is Turn.RESTING for each in standings)

    def _provider(self, provider: Guarded) -> ProviderHealthBody:
        """How it does, its price (USD per million tokens) and where that is from."""
        standing = self.standing(provider.name)
        body = ProviderHealthBody(
            status="available",
            kind=provider.kind,
            model=provider.model,
            price=provider.price,
        )
        breaker = provider.breaker
        if breaker is not None:
            body.breaker = BreakerBody(state=breaker.state, failures=breaker.failed)
        if standing.cause is not None:
            body.status = "down"
            body.cause, body.what_to_do = str(standing.cause), advice(standing.cause).do
            body.next_try_seconds = round(standing.next_try)
            body.detail = standing.detail
            if breaker is not None and breaker.state == "open" and breaker.cause is None:
                body.status = "open"
                body.detail = f"paused after {breaker.failed} failures in a row: {standing.detail}"
        return body


async def watch(shared: Shared, interval: float = 5.0) -> None:
    """Look after Redis every `interval` seconds, so that its metrics are true without traffic."""
    while True:
        await shared.check()
        await asyncio.sleep(interval)


def probe_routes(
    gate: Gate, health: Health, lifecycle: Lifecycle, render: Callable[[str], tuple[bytes, str]]
) -> APIRouter:
    """/health, /api/v1/health, /ping and /metrics; `render` makes the metrics for an Accept header."""
    router = APIRouter(route_class=PlainRoute)
    scrapes = Flights[tuple[bytes, str], None]()

    @router.head("/health", include_in_schema=False)
    @router.get(
        "/health",
        tags=["health"],
        summary="Whether this process can work.",
        response_model=AliveBody,
        responses={503: {"model": AliveBody}},
    )
    async def basic_health(_: Request) -> Response:
        status, body = health.basic()
        return json_response(body, status)

    @router.get(
        "/api/v1/health",
        tags=["health"],
        summary="Every dependency, and which alternative is in use.",
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
        summary="Whether this instance accepts new requests.",
        response_class=PlainTextResponse,
        responses={503: {"description": "The instance drains.", "content": {"text/plain": {}}}},
    )
    async def ping(_: Request) -> Response:
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
        # Each rendering takes turns with the event loop: those who come during one get the same.
        flight, _ = scrapes.board(accept, lambda _: asyncio.to_thread(render, accept))
        with flight.aboard():
            body, content_type = await flight.result()
        return Response(body, headers={"Content-Type": content_type})

    return router
