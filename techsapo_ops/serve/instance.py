"""Which instance this is, what it runs, the folder that is its own, and its life from start to drain."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from techsapo_ops import __version__
from techsapo_ops.adapters.build import build, note
from techsapo_ops.adapters.folders import opened
from techsapo_ops.adapters.resources import HostUsage
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.serve.answers.spending import Spending
from techsapo_ops.serve.metrics.metrics import Metrics
from techsapo_ops.serve.metrics.registry import only
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
        log.warning(
            "The version that this instance runs can't be recorded",
            file=str(data / BUILD_NOTE),
            error=str(error),
        )


def _make_writable(data: Path) -> None:
    try:
        with opened(data, make=0o777):
            pass
    except OSError as error:
        raise OpsError(
            msg("cannot make the data folder {data}: {strerror}", data=data, strerror=error.strerror),
            msg("choose another folder with --data"),
        ) from None
    if not os.access(data, os.W_OK | os.X_OK):
        raise OpsError(
            msg("cannot write to the data folder {data}", data=data),
            msg("check who owns the folder, or choose another one with --data"),
        )


def read_state(metrics: Metrics, audit: AuditLog, spending: Spending) -> None:
    """Let `metrics` read what the instance's parts know of themselves."""
    usage = HostUsage()
    metrics.gauge("techsapo_audit_consecutive_errors", lambda: audit.consecutive_errors)
    metrics.gauge("techsapo_audit_queue_rows", lambda: audit.status().waiting)
    metrics.gauge("techsapo_audit_spool_rows", lambda: audit.status().spooled)
    metrics.gauge("techsapo_memory_usage_percent", usage.memory_percent)
    metrics.read("techsapo_memory_limit_bytes", lambda: only(usage.memory_limit()))
    metrics.read("techsapo_cpu_usage_percent", lambda: only(usage.cpu_percent()))
    metrics.read("techsapo_budget_utilization_percent", spending.percent)
    metrics.read("techsapo_budget_spent_usd", spending.spent_usd)
    metrics.read("techsapo_budget_exhausted", spending.exhausted)


Undo = Callable[[], Awaitable[object] | None]


@dataclass(slots=True)
class Lifecycle:
    """`draining` is set by the server when a signal stops it, and stays set."""

    draining: bool = False
    at_warm: list[Callable[[], object]] = field(default_factory=list)
    """What happens once the providers are warm, and all that lives as long as the process is there."""
    at_drain: list[Callable[[], None]] = field(default_factory=list)
    """What ends now that the instance drains; called on the event loop."""


class CleanUps:
    """Named steps that undo what was started, the last one first.

    Each runs once. One that fails is logged by its name, and the others still run. As in Alertmanager's
    app/lifecycle.go, a step is added as soon as there is something to undo: what was not started is not
    stopped.
    """

    def __init__(self) -> None:
        self._steps: list[tuple[str, Undo]] = []

    def add(self, name: str, undo: Undo) -> None:
        """Let `undo` be called by `run`, and awaited where it is to be."""
        self._steps.append((name, undo))

    def start_task(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` in the background until `run` cancels it. Where it fails, that is logged at once."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(_log_failure)

        async def cancel() -> None:
            task.cancel()
            await asyncio.wait({task})

        self.add(name, cancel)

    async def run(self) -> None:
        """Undo everything; what is added later is undone by the next call."""
        while self._steps:
            name, undo = self._steps.pop()
            try:
                done = undo()
                if done is not None:
                    await done
            except Exception:
                log.exception("A clean-up step failed; the other steps continue", step=name)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("A background task failed", task=task.get_name(), error=repr(error))
