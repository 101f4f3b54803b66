"""The parts of one running instance, built from the spec."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from techsapo_ops import __version__
from techsapo_ops.adapters.audit import AuditLog
from techsapo_ops.adapters.cache import AnswerCache
from techsapo_ops.adapters.cgroup import HostUsage
from techsapo_ops.errors import OpsError
from techsapo_ops.serve.lifecycle import Lifecycle
from techsapo_ops.serve.metrics import Metrics
from techsapo_ops.spec.models import Spec
from techsapo_ops.wallbounce.analysis import WallBounce
from techsapo_ops.wallbounce.registry import Registry, build_registry, tier_rules


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


def assemble(spec: Spec, disabled: Mapping[str, str], *, instance: str, data: Path) -> Parts:
    """Build the parts; nothing is connected or started yet.

    `disabled` names the providers that the loader left out, and why; `data` is this instance's own folder.
    Raises OpsError when no provider can be used or the folder can't be written.
    """
    registry = build_registry(spec, disabled)
    _make_writable(data)
    metrics = Metrics(__version__, registry.usable, spec.budget)
    wallbounce = WallBounce(
        registry.usable,
        tier_rules(spec),
        per_request_usd=spec.budget.per_request_usd,
        observers=(metrics.hear,),
    )
    cache = AnswerCache(spec.redis, prefix=f"{spec.project}:answer:")
    audit = AuditLog(spec.mysql, data, metrics.audit)
    usage = HostUsage()

    def cpu() -> list[tuple[dict[str, str], float]]:
        percent = usage.cpu_percent()
        return [] if percent is None else [({}, percent)]

    metrics.gauge("techsapo_redis_consecutive_errors", lambda: cache.consecutive_errors)
    metrics.gauge("techsapo_audit_consecutive_errors", lambda: audit.consecutive_errors)
    metrics.callback("techsapo_memory_usage_percent", lambda: [({}, usage.memory_percent())])
    metrics.callback("techsapo_cpu_usage_percent", cpu)
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
