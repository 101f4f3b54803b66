"""What an instance's parts know of themselves, as metrics."""

from __future__ import annotations

from pathlib import Path

from techsapo_ops.adapters.cgroup import HostUsage
from techsapo_ops.serve.config_state import config_hash, config_since
from techsapo_ops.serve.metric_registry import only
from techsapo_ops.serve.metrics import Metrics
from techsapo_ops.serve.spending import Spending
from techsapo_ops.spec.models import Spec
from techsapo_ops.stores.audit.log import AuditLog


def read_state(metrics: Metrics, spec: Spec, data: Path, audit: AuditLog, spending: Spending) -> None:
    """Let `metrics` read what the instance's parts know of themselves."""
    usage, digest = HostUsage(), config_hash(spec)
    since = config_since(data, digest)
    metrics.read("techsapo_config_info", lambda: [({"hash": digest}, 1)])
    metrics.gauge("techsapo_config_last_change_timestamp_seconds", lambda: since)
    metrics.gauge("techsapo_audit_consecutive_errors", lambda: audit.consecutive_errors)
    metrics.gauge("techsapo_audit_queue_rows", lambda: audit.status().waiting)
    metrics.gauge("techsapo_audit_spool_rows", lambda: audit.status().spooled)
    metrics.gauge("techsapo_memory_usage_percent", usage.memory_percent)
    metrics.read("techsapo_memory_limit_bytes", lambda: only(usage.memory_limit()))
    metrics.read("techsapo_cpu_usage_percent", lambda: only(usage.cpu_percent()))
    metrics.read("techsapo_budget_utilization_percent", spending.percent)
    metrics.read("techsapo_budget_spent_usd", spending.spent_usd)
    metrics.read("techsapo_budget_exhausted", spending.exhausted)
