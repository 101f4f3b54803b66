"""What the health endpoints say."""

from __future__ import annotations

import asyncio
from typing import Literal

from techsapo_ops.serve.bodies.health import (
    AliveBody,
    AuditHealthBody,
    CacheHealthBody,
    DependenciesBody,
    HealthBody,
    UnlistedHostBody,
)
from techsapo_ops.serve.instance import Instance
from techsapo_ops.serve.lifecycle import Lifecycle
from techsapo_ops.serve.provider_report import ProviderReport
from techsapo_ops.serve.unlisted_names import UnlistedNames
from techsapo_ops.stores.audit.log import AuditLog
from techsapo_ops.stores.cache import AnswerCache
from techsapo_ops.stores.shared import Shared

Status = Literal["healthy", "degraded", "down"]


class Health:
    """What the health endpoints say of this instance and of what it depends on."""

    def __init__(
        self,
        instance: Instance,
        providers: ProviderReport,
        cache: AnswerCache,
        audit: AuditLog,
        lifecycle: Lifecycle,
        unlisted: UnlistedNames,
    ) -> None:
        self._instance = instance
        self._providers = providers
        self._cache = cache
        self._audit = audit
        self._lifecycle = lifecycle
        self._unlisted = unlisted

    def basic(self) -> tuple[int, AliveBody]:
        """HTTP status and body of /health: whether this process can do its work at all."""
        alive = self._providers.usable and self._audit.alive
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

        degraded means that answers still come, with a part missing, such as one provider that is down; only
        down is answered 503. It is down too while every provider is down and none may be tried yet.
        """
        cache = await self._cache.check()
        audit = self._audit.status()
        status: Status = "healthy"
        if not cache.healthy or not audit.healthy or self._providers.ailing():
            status = "degraded"
        if not self._audit.alive or self._providers.silent():  # as all do where there is none
            status = "down"
        body = HealthBody(
            status=status,
            instance=self._instance.name,
            version=self._instance.version,
            build=self._instance.build,
            draining=self._lifecycle.draining,
            simulated=self._providers.simulated,
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
                providers=dict(self._providers.bodies()),
            ),
        )
        return (503 if status == "down" else 200), body


async def watch(shared: Shared, interval: float = 5.0) -> None:
    """Look after Redis every `interval` seconds, so that its metrics are true without traffic."""
    while True:
        await shared.look()
        await asyncio.sleep(interval)
