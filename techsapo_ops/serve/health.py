"""What the health endpoints say."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from techsapo_ops.serve.parts import Parts
from techsapo_ops.wallbounce.provider import Provider
from techsapo_ops.wallbounce.registry import Registry

Status = Literal["healthy", "degraded", "down"]


def basic(parts: Parts) -> tuple[int, dict[str, Any]]:
    """HTTP status and body of /health: whether this process can do its work at all."""
    alive = bool(parts.registry.usable) and parts.audit.alive
    body = {
        "status": "ok" if alive else "down",
        "instance": parts.instance,
        "version": parts.version,
        "build": parts.build,
    }
    if not parts.audit.alive:
        body["detail"] = "the audit writer has stopped"
    return (200 if alive else 503), body


async def detailed(parts: Parts) -> tuple[int, dict[str, Any]]:
    """HTTP status and body of /api/v1/health: every dependency, and which one is in use.

    degraded means that answers still come, with a part missing; only down is answered 503.
    """
    cache = await parts.cache.check()
    audit = parts.audit.status()
    providers: dict[str, Any] = {p.name: _provider(p, parts.registry) for p in parts.registry.usable}
    for name, reason in parts.registry.unavailable.items():
        providers[name] = {"status": "unavailable", "detail": reason}
    few = sum(parts.registry.worth_asking(p) for p in parts.registry.usable) < 2
    status: Status = "healthy"
    if not cache.healthy or not audit.healthy or few:
        status = "degraded"
    if not parts.audit.alive or not parts.registry.usable:
        status = "down"
    body = {
        "status": status,
        "instance": parts.instance,
        "version": parts.version,
        "build": parts.build,
        "draining": parts.lifecycle.draining,
        "simulated": parts.registry.simulated,
        "dependencies": {
            "cache": {
                "status": "healthy" if cache.healthy else "degraded",
                "in_use": cache.in_use,
                "detail": cache.detail,
                "consecutive_errors": cache.consecutive_errors,
            },
            "audit": {
                "status": "healthy" if audit.healthy else "degraded",
                "in_use": audit.in_use,
                "detail": audit.detail,
                "consecutive_errors": audit.consecutive_errors,
                "waiting": audit.waiting,
                "spooled": audit.spooled,
            },
            "providers": providers,
        },
    }
    return (503 if status == "down" else 200), body


def _provider(provider: Provider, registry: Registry) -> dict[str, Any]:
    """A provider in use: its circuit breaker, its price (USD per million tokens) and where that is from."""
    price = provider.price
    told: dict[str, Any] = {
        "status": "available",
        "kind": provider.kind,
        "model": provider.model,
        "price": {
            "input": price.input,
            "output": price.output,
            "source": price.source,
            "known": price.known,
        },
    }
    breaker = registry.breaker_of(provider)
    if breaker is not None:
        told["breaker"] = {"state": breaker.state, "failures": breaker.failed}
        if breaker.state == "open":
            told["status"] = "open"
            told["detail"] = (
                f"left alone after {breaker.failed} failures in a row; next try in {breaker.retry_in:.0f} s"
            )
    return told


async def watch_cache(parts: Parts, interval: float = 5.0) -> None:
    """Ask Redis for a sign of life every `interval` seconds, so that its metric is true without traffic."""
    while True:
        await parts.cache.check()
        await asyncio.sleep(interval)
