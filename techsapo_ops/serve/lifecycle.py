"""The life of an instance: whether it wants new requests, and what undoes each step of its start."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import structlog

log = structlog.get_logger()

Undo = Callable[[], Awaitable[object] | None]


@dataclass(slots=True)
class Lifecycle:
    """`draining` is set by the server when it was told to stop, and stays set."""

    draining: bool = False
    at_warm: list[Callable[[], None]] = field(default_factory=list)
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
                log.exception("A clean-up failed; the others go on", step=name)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("A background task failed", task=task.get_name(), error=repr(error))
