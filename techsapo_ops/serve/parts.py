"""The parts of one running instance, built from the spec."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from techsapo_ops import __version__
from techsapo_ops.adapters.audit import AuditLog
from techsapo_ops.adapters.audit_spool import AuditRow
from techsapo_ops.adapters.budget import BudgetStore, Ledger, nano
from techsapo_ops.adapters.build import build, note
from techsapo_ops.adapters.cache import AnswerCache
from techsapo_ops.adapters.cgroup import HostUsage
from techsapo_ops.adapters.folders import opened
from techsapo_ops.adapters.limits import RateLimiter
from techsapo_ops.adapters.redis_link import RedisLink
from techsapo_ops.errors import OpsError
from techsapo_ops.serve.anomalies import Anomalies
from techsapo_ops.serve.auth import Gate, key_ring
from techsapo_ops.serve.config_state import config_hash, config_since
from techsapo_ops.serve.lifecycle import Lifecycle
from techsapo_ops.serve.metrics import Metrics
from techsapo_ops.serve.proxies import Proxies
from techsapo_ops.serve.series import only
from techsapo_ops.serve.spending import LIFE_MARGIN, Event, LostReservation, Spending
from techsapo_ops.serve.telemetry import Telemetry, read_values
from techsapo_ops.spec.auth import resolved_auth
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.app import Auth
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.stack.layout import BUILD_NOTE
from techsapo_ops.wallbounce.calibration import Calibration
from techsapo_ops.wallbounce.orchestrator import WallBounce
from techsapo_ops.wallbounce.policy import policy_of
from techsapo_ops.wallbounce.registry import Registry, build_registry

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Parts:
    """What the app is made of; `instance` is its name in the stack."""

    spec: Spec
    instance: str
    version: str
    build: str
    """What this process runs: version, digest of the code, digest of what it runs on."""
    registry: Registry
    wallbounce: WallBounce
    cache: AnswerCache
    audit: AuditLog
    metrics: Metrics
    lifecycle: Lifecycle
    link: RedisLink
    spending: Spending
    gate: Gate
    anomalies: Anomalies
    replies: AnswerCache
    """Answers by Idempotency-Key."""
    telemetry: Telemetry
    prometheus: str | None = None
    """Where the stack's Prometheus answers, for the pages."""
    thresholds: Callable[[], Mapping[str, float]] = dict
    """The alerts' thresholds that the pages draw."""


def assemble(
    spec: Spec,
    disabled: Mapping[str, str],
    *,
    instance: str,
    data: Path,
    calibration: Calibration | None = None,
    auth: Auth | None = None,
    keys: Path | None = None,
    redis_ca: Path | None = None,
    prometheus: str | None = None,
    thresholds: Callable[[], Mapping[str, float]] = dict,
) -> Parts:
    """Build the parts; nothing is connected or started yet.

    `disabled` names the providers that the loader left out, and why; `data` is this instance's own folder;
    `calibration` holds fitted weights of the confidence. `auth` says who may ask, in place of the spec's
    own section; `keys` is the file of API keys where it names none; `redis_ca` the CA certificate of a
    Redis that speaks TLS; `prometheus` the address that pages draw from, `thresholds` the alerts'
    thresholds that they show.
    Raises OpsError when no provider can be used, the folder can't be written, or a key is needed to start.
    """
    auth = auth or resolved_auth(spec, None)
    registry = build_registry(spec, disabled)
    _make_writable(data)
    _note_build(data)
    metrics = Metrics(__version__, build(), registry.usable, spec.budget)
    metrics.watch(registry.breakers)
    anomalies = Anomalies(spec.app.anomalies, Proxies(auth.proxies), metrics.anomaly)
    pretended = spec.budget.count_simulated
    counts = pretended or not registry.simulated
    wallbounce = WallBounce(
        registry.usable,
        policy_of(spec, counts=counts),
        observers=(metrics.hear,),
        calibration=calibration,
        usable=registry.worth_asking,
    )
    cache = AnswerCache(spec.redis, f"{spec.project}:answer:", metrics.redis("answers"), ca=redis_ca)
    replies = AnswerCache(spec.redis, f"{spec.project}:reply:", metrics.redis("replies"), ca=redis_ca)
    audit = AuditLog(
        spec.mysql,
        data,
        metrics.audit_rows,
        metrics.audit_operation,
        flush_interval=seconds(spec.audit.flush_interval),
    )
    link = RedisLink(spec.redis, "budgets and single flight", metrics.redis("shared"), ca=redis_ca)
    life = seconds(spec.app.limits.request_timeout) + LIFE_MARGIN

    async def spent_before(ledger: Ledger) -> int:
        told = audit.spent_since
        return nano(await asyncio.to_thread(told, ledger.start, ledger.scope or None, simulated=pretended))

    def write_down(event: Event) -> None:
        if isinstance(event, LostReservation):
            audit.put(_lost_row(event, instance))

    store = BudgetStore(link, f"{spec.project}:budget:", spent_before, lambda lost: spending.lost(lost))
    spending = Spending(store, spec.budget, life, counts, [write_down], metrics.spent)
    ring = key_ring(auth, keys or data.parent / "api-keys.json")
    limiter = None
    if ring is not None:
        limiter = RateLimiter(spec.redis, f"{spec.project}:rate", metrics.redis("limits"), ca=redis_ca)
    _read_state(metrics, spec, data, audit, spending)
    return Parts(
        spec=spec,
        instance=instance,
        version=__version__,
        build=build(),
        registry=registry,
        wallbounce=wallbounce,
        cache=cache,
        audit=audit,
        metrics=metrics,
        lifecycle=Lifecycle(),
        link=link,
        spending=spending,
        gate=Gate(auth, ring, limiter, metrics, anomalies),
        anomalies=anomalies,
        replies=replies,
        telemetry=Telemetry(lambda: read_values(metrics.samples), instance),
        prometheus=prometheus,
        thresholds=thresholds,
    )


def _read_state(metrics: Metrics, spec: Spec, data: Path, audit: AuditLog, spending: Spending) -> None:
    """Let `metrics` read what the instance's parts know of themselves."""
    usage, digest = HostUsage(), config_hash(spec)
    since = config_since(data, digest)
    metrics.read("techsapo_config_info", lambda: [({"hash": digest}, 1)])
    metrics.gauge("techsapo_config_last_change_timestamp_seconds", lambda: since)
    metrics.gauge("techsapo_audit_consecutive_errors", lambda: audit.consecutive_errors)
    metrics.gauge("techsapo_audit_queue_rows", lambda: audit.status().waiting)
    metrics.gauge("techsapo_audit_spool_rows", lambda: audit.status().spooled)
    metrics.gauge("techsapo_memory_usage_percent", usage.memory_percent)
    metrics.read("techsapo_cpu_usage_percent", lambda: only(usage.cpu_percent()))
    metrics.read("techsapo_budget_utilization_percent", spending.percent)
    metrics.read("techsapo_budget_spent_usd", spending.spent_usd)
    metrics.read("techsapo_budget_exhausted", spending.exhausted)


def _lost_row(event: LostReservation, instance: str) -> AuditRow:
    """The audit row of a request whose instance died: of it only what it may have cost is known."""
    return AuditRow(
        id=uuid.uuid4().hex,
        time=event.time,
        instance=instance,
        request_id=event.request_id,
        user_id=None,
        task_type="",
        prompt_hash="",
        providers=(),
        confidence=None,
        consensus=None,
        accepted=None,
        simulated=False,
        cache="miss",
        cost_usd=event.usd,
        status="instance_died",
        processing_ms=0,
        key_id=event.key or None,
    )


def _note_build(data: Path) -> None:
    """Tell `techsapo ps` and the next `up` what this process runs; without it `up` restarts it once more."""
    try:
        note(data / BUILD_NOTE)
    except OpsError as error:
        log.warning("What this instance runs can't be noted", file=str(data / BUILD_NOTE), error=str(error))


def _make_writable(data: Path) -> None:
    try:
        with opened(data, make=0o777):
            pass
    except OSError as error:
        raise OpsError(
            f"cannot make the data folder {data}: {error.strerror}", "choose another with --data"
        ) from None
    if not os.access(data, os.W_OK | os.X_OK):
        raise OpsError(
            f"cannot write to the data folder {data}", "check who owns it, or choose another with --data"
        )
