"""Waits until a service is ready, or says why it is not."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from techsapo_ops.adapters.probe import ProbeResult
from techsapo_ops.engines.native.supervisor import Process
from techsapo_ops.stack.engine import GateError, State

SHOWN_LINES = 20
GIVE_UP_AFTER_EXITS = 3
"""A process that ended so often while it is waited for will not come up by waiting longer."""


@dataclass(frozen=True, slots=True)
class Watched:
    """How one service is asked: `probe(timeout)` its port, `process()` its supervisor.

    `exits()` counts how often it ended by itself since it was started.
    """

    name: str
    probe: Callable[[float], ProbeResult]
    process: Callable[[], Process | None]
    exits: Callable[[], int]
    log: Path


def wait_ready(watched: Watched, *, seconds: float, log_from: int = 0) -> None:
    """Return once the probe passes and the process that was there before still is.

    Raises GateError after `seconds`, or as soon as the process keeps ending, with the probe's answer and
    the last 20 lines that the log has after byte `log_from`.
    """
    started = time.monotonic()
    pause = 0.02
    while True:
        before = watched.process()
        over = before is None or before.state is State.CRASHED
        if before is not None and before.state is State.BACKOFF:
            over = watched.exits() >= GIVE_UP_AFTER_EXITS
        left = seconds - (time.monotonic() - started)
        result = watched.probe(max(min(left, 2.0), 0.1))
        if result.ok and not over:
            after = watched.process()
            # Another program on the port would answer while ours ends with "address already in use".
            if after is not None and before is not None and after.pid is not None and after.pid == before.pid:
                return
        if over or left <= 0:
            raise _failure(watched, before, result, time.monotonic() - started, log_from)
        time.sleep(pause)
        pause = min(pause * 1.4, 0.25)


def _failure(
    watched: Watched, process: Process | None, result: ProbeResult, waited: float, log_from: int
) -> GateError:
    lines = tail(watched.log, SHOWN_LINES, log_from)
    if process is None:
        why = "the supervisor does not know it"
    elif process.pid is None:
        code = "" if process.exit_code is None else f" with exit code {process.exit_code}"
        why = f"it ended by itself{code}, {max(watched.exits(), 1)} × in {waited:.0f} s"
        if process.error and process.pid is None and "too quickly" not in process.error:
            why += f" ({process.error})"
    else:
        why = f"not within {waited:.0f} s"
    body = result.body.decode(errors="replace").strip()
    said = result.detail if not body or body[:40] in result.detail else f"{result.detail}: {body[:500]}"
    message = f"{watched.name} did not become ready, {why}; probe: {said}"
    if lines:
        quoted = "\n".join(f"  | {line}" for line in lines)
        message += f"\nlast lines of {watched.log}:\n{quoted}"
    return GateError(watched.name, said, lines, message, f"`techsapo logs {watched.name}` shows more")


def tail(log: Path, count: int, start: int = 0) -> tuple[str, ...]:
    """The last `count` lines of `log` after byte `start`; none of a missing file."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(start if start <= size else 0, size - 64 * 1024))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ()
    return tuple(text.splitlines()[-count:])
