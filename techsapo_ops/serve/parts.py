"""The parts of one running instance, built from the spec."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from techsapo_ops import __version__
from techsapo_ops.adapters.audit import AuditLog
from techsapo_ops.adapters.budget import BudgetStore, Ledger, nano
from techsapo_ops.adapters.cache import AnswerCache
from techsapo_ops.adapters.cgroup import HostUsage
from techsapo_ops.adapters.limits import RateLimiter
from techsapo_ops.adapters.redis_link import RedisLink
from techsapo_ops.errors import OpsError
from techsapo_ops.serve import progress
from techsapo_ops.serve.auth import Gate, key_ring
from techsapo_ops.serve.lifecycle import Lifecycle
from techsapo_ops.serve.metrics import Metrics
from techsapo_ops.serve.spending import LIFE_MARGIN, Metered, Spending
from techsapo_ops.spec.auth import resolved_auth
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.app import Auth
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.wallbounce.analysis import WallBounce
from techsapo_ops.wallbounce.calibration import Calibration
from techsapo_ops.wallbounce.registry import Registry, build_registry, tier_rules, worth_asking


@dataclass(frozen=True, slots=True)
class Parts:
    """What the app is made of; `instance` is its name in the stack."""

    spec: Spec
    instance: str
    version: str
    registry: Registry
    wallbounce: WallBounce
    cache: AnswerCache
    audit: AuditLog
    metrics: Metrics
    lifecycle: Lifecycle
    link: RedisLink
    spending: Spending
    gate: Gate
    replies: AnswerCache
    """Answers by Idempotency-Key."""


def assemble(
    spec: Spec,
    disabled: Mapping[str, str],
    *,
    instance: str,
    data: Path,
    calibration: Calibration | None = None,
    auth: Auth | None = None,
    keys: Path | None = None,
) -> Parts:
    """Build the parts; nothing is connected or started yet.

    `disabled` names the providers that the loader left out, and why; `data` is this instance's own folder;
    `calibration` holds fitted weights of the confidence. `auth` says who may ask, in place of the spec's
    own section; `keys` is the file of API keys where it names none.
    Raises OpsError when no provider can be used, the folder can't be written, or a key is needed to start.
    """
    auth = auth or resolved_auth(spec, None)
    registry = build_registry(spec, disabled)
    _make_writable(data)
    metrics = Metrics(__version__, registry.usable, spec.budget)
    wallbounce = WallBounce(
        [Metered(p, metrics.spent) for p in registry.usable],
        tier_rules(spec),
        per_request_usd=spec.budget.per_request_usd,
        observers=(metrics.hear, progress.hear),
        calibration=calibration,
        deadline=seconds(spec.app.limits.request_timeout),
        max_bounces=spec.wallbounce.max_bounces,
        usable=lambda p: worth_asking(p.inner if isinstance(p, Metered) else p),
    )
    cache = AnswerCache(spec.redis, prefix=f"{spec.project}:answer:")
    audit = AuditLog(spec.mysql, data, metrics.audit)
    link = RedisLink(spec.redis, "budgets and single flight")
    life = seconds(spec.app.limits.request_timeout) + LIFE_MARGIN

    async def spent_before(ledger: Ledger) -> int:
        return nano(await asyncio.to_thread(audit.spent_since, ledger.start, ledger.scope or None))

    store = BudgetStore(link, f"{spec.project}:budget:", spent_before)
    spending = Spending(store, spec.budget, life)
    ring = key_ring(auth, keys or data.parent / "api-keys.json")
    limiter = RateLimiter(spec.redis, f"{spec.project}:rate") if ring is not None else None
    usage = HostUsage()

    def cpu() -> list[tuple[dict[str, str], float]]:
        percent = usage.cpu_percent()
        return [] if percent is None else [({}, percent)]

    metrics.gauge("techsapo_redis_consecutive_errors", lambda: cache.consecutive_errors)
    metrics.gauge("techsapo_audit_consecutive_errors", lambda: audit.consecutive_errors)
    metrics.callback("techsapo_memory_usage_percent", lambda: [({}, usage.memory_percent())])
    metrics.callback("techsapo_cpu_usage_percent", cpu)
    metrics.callback("techsapo_budget_utilization_percent", spending.percent)
    return Parts(
        spec=spec,
        instance=instance,
        version=__version__,
        registry=registry,
        wallbounce=wallbounce,
        cache=cache,
        audit=audit,
        metrics=metrics,
        lifecycle=Lifecycle(),
        link=link,
        spending=spending,
        gate=Gate(auth, ring, limiter, metrics),
        replies=AnswerCache(spec.redis, prefix=f"{spec.project}:reply:"),
    )


def _make_writable(data: Path) -> None:
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OpsError(
            f"cannot make the data folder {data}: {error.strerror}", "choose another with --data"
        ) from None
    if not os.access(data, os.W_OK | os.X_OK):
        raise OpsError(
            f"cannot write to the data folder {data}", "check who owns it, or choose another with --data"
        )
