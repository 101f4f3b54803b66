"""What the health endpoints say."""

from __future__ import annotations

import asyncio
from typing import Literal

from techsapo_ops.serve.bodies.health import (
    AliveBody,
    AuditHealthBody,
    BreakerBody,
    CacheHealthBody,
    DependenciesBody,
    HealthBody,
    PriceBody,
    ProviderHealthBody,
    UnlistedHostBody,
)
from techsapo_ops.serve.instance import Instance
from techsapo_ops.serve.lifecycle import Lifecycle
from techsapo_ops.serve.unlisted_names import UnlistedNames
from techsapo_ops.stores.audit.log import AuditLog
from techsapo_ops.stores.cache import AnswerCache
from techsapo_ops.wallbounce.provider import Provider
from techsapo_ops.wallbounce.registry import Registry

Status = Literal["healthy", "degraded", "down"]


class Health:
    """What the health endpoints say of this instance and of what it depends on."""

    def __init__(
        self,
        instance: Instance,
        registry: Registry,
        cache: AnswerCache,
        audit: AuditLog,
        lifecycle: Lifecycle,
        unlisted: UnlistedNames,
    ) -> None:
        self._instance = instance
        self._registry = registry
        self._cache = cache
        self._audit = audit
        self._lifecycle = lifecycle
        self._unlisted = unlisted

    def basic(self) -> tuple[int, AliveBody]:
        """HTTP status and body of /health: whether this process can do its work at all."""
        alive = bool(self._registry.usable) and self._audit.alive
        detail = {} if self._audit.alive else {"detail": "the audit writer has stopped"}
        body = AliveBody(
            status="ok" if alive else "down",
            instance=self._instance.name,
            version=self._instance.version,
            build=self._instance.build,
            **detail,
        )
        return (200 if alive else 503), body

    async def detailed(self) -> tuple[int, HealthBody]:
        """HTTP status and body of /api/v1/health: every dependency, and which one is in use.

        degraded means that answers still come, with a part missing; only down is answered 503.
        """
        cache = await self._cache.check()
        audit = self._audit.status()
        providers = {p.name: _provider(p, self._registry) for p in self._registry.usable}
        for name, reason in self._registry.unavailable.items():
            providers[name] = ProviderHealthBody(status="unavailable", detail=reason)
        few = sum(self._registry.worth_asking(p) for p in self._registry.usable) < 2
        status: Status = "healthy"
        if not cache.healthy or not audit.healthy or few:
            status = "degraded"
        if not self._audit.alive or not self._registry.usable:
            status = "down"
        body = HealthBody(
            status=status,
            instance=self._instance.name,
            version=self._instance.version,
            build=self._instance.build,
            draining=self._lifecycle.draining,
            simulated=self._registry.simulated,
            unlisted_hosts=[
                UnlistedHostBody(name=n.name, requests=n.requests, last_seen=n.last_seen)
                for n in self._unlisted.listed()
            ],
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
                providers=providers,
            ),
        )
        return (503 if status == "down" else 200), body


def _provider(provider: Provider, registry: Registry) -> ProviderHealthBody:
    """A provider in use: its circuit breaker, its price (USD per million tokens) and where that is from."""
    price = provider.price
    body = ProviderHealthBody(
        status="available",
        kind=provider.kind,
        model=provider.model,
        price=PriceBody(input=price.input, output=price.output, source=price.source, known=price.known),
    )
    breaker = registry.breaker_of(provider)
    if breaker is not None:
        body.breaker = BreakerBody(state=breaker.state, failures=breaker.failed)
        if breaker.state == "open":
            body.status = "open"
            body.detail = (
                f"left alone after {breaker.failed} failures in a row; next try in {breaker.retry_in:.0f} s"
            )
    return body


async def watch(cache: AnswerCache, interval: float = 5.0) -> None:
    """Ask Redis for a sign of life every `interval` seconds, so that its metric is true without traffic."""
    while True:
        await cache.check()
        await asyncio.sleep(interval)
