"""Which instance this is, what it runs, the folder that is its own, and what its parts know of themselves."""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import structlog

from techsapo_ops import __version__
from techsapo_ops.adapters.build import build, note
from techsapo_ops.adapters.cgroup import HostUsage
from techsapo_ops.adapters.files import read_text, write_atomic
from techsapo_ops.adapters.folders import opened
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.serve.metric_registry import only
from techsapo_ops.serve.metrics import Metrics
from techsapo_ops.serve.spending import Spending
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.redact import app_settings
from techsapo_ops.stack.layout import BUILD_NOTE
from techsapo_ops.stores.audit.log import AuditLog

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of the app; `name` is its name in the stack, e.g. app-1."""

    name: str
    version: str
    build: str
    """What this process runs: version, digest of the code, digest of what it runs on."""


def this_instance(name: str) -> Instance:
    """This process as the instance `name`."""
    return Instance(name, __version__, build())


def prepare_data(data: Path) -> None:
    """Make the instance's folder `data`, and note there what this process runs.

    Raises OpsError where nothing can be written into it.
    """
    _make_writable(data)
    _note_build(data)


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
            msg("cannot make the data folder {data}: {strerror}", data=data, strerror=error.strerror),
            msg("choose another with --data"),
        ) from None
    if not os.access(data, os.W_OK | os.X_OK):
        raise OpsError(
            msg("cannot write to the data folder {data}", data=data),
            msg("check who owns it, or choose another with --data"),
        )


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


def config_hash(spec: Spec) -> str:
    """16 hex digits that tell the app's configuration from another; secrets don't change it."""
    settings = json.dumps(app_settings(spec), sort_keys=True, default=str)
    return hashlib.sha256(settings.encode()).hexdigest()[:16]


def config_since(data: Path, digest: str) -> float:
    """Unix time at which the instance with the folder `data` first ran with the configuration `digest`.

    Remembered in config.json over restarts. One that can't be read or written is reported and made anew.
    """
    path = data / "config.json"
    try:
        known = json.loads(read_text(path, what=msg("configuration state"))) if path.exists() else {}
        if known.get("hash") == digest:
            return float(known["since"])
    except (OpsError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("The time of the last change of configuration is lost", file=str(path), error=str(error))
    now = time.time()
    try:
        write_atomic(path, json.dumps({"hash": digest, "since": now}).encode() + b"\n", mode=0o600)
    except (OpsError, OSError) as error:
        log.warning("The time of this configuration can't be kept", file=str(path), error=str(error))
    return now
