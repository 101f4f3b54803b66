"""Waits until a service is ready, or says why it is not."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from techsapo_ops.adapters.probe import ProbeResult
from techsapo_ops.engines.native.supervisor import Process
from techsapo_ops.messages import msg
from techsapo_ops.stack.engine import GateError
from techsapo_ops.stack.observed import State

SHOWN_LINES = 20
GIVE_UP_AFTER_EXITS = 3
"""A process that ended so often while it is waited for will not come up by waiting longer."""


@dataclass(frozen=True, slots=True)
class LogFrom:
    """A log after byte `start`; of one that was rotated since, all of it."""

    path: Path
    start: int = 0

    def tail(self, count: int) -> tuple[str, ...]:
        """Its last `count` lines; none of a missing file."""
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(self.start if self.start <= size else 0, size - 64 * 1024))
                text = file.read().decode(errors="replace")
        except FileNotFoundError:
            return ()
        return tuple(text.splitlines()[-count:])


def wait_ready(
    name: str,
    *,
    probe: Callable[[float], ProbeResult],
    process: Callable[[], Process | None],
    exits: Callable[[], int],
    log: LogFrom,
    seconds: float,
) -> None:
    """Return once the probe of the service `name` passes and the process that was there before still is.

    `probe(timeout)` asks its port, `process()` its supervisor; `exits()` counts how often it ended by itself
    since it was started. Raises GateError after `seconds`, or as soon as the process keeps ending, with the
    probe's answer and the last 20 lines of `log`.
    """
    started = time.monotonic()
    pause = 0.02
    while True:
        before = process()
        over = before is None or before.state is State.CRASHED
        if before is not None and before.state is State.BACKOFF:
            over = exits() >= GIVE_UP_AFTER_EXITS
        left = seconds - (time.monotonic() - started)
        result = probe(max(min(left, 2.0), 0.1))
        if result.ok and not over:
            after = process()
            # Another program on the port would answer while ours ends with "address already in use".
            if after is not None and before is not None and after.pid is not None and after.pid == before.pid:
                return
        if over or left <= 0:
            waited = time.monotonic() - started
            raise _failure(name, _why(before, exits, waited), result, log)
        time.sleep(pause)
        pause = min(pause * 1.4, 0.25)


def _why(process: Process | None, exits: Callable[[], int], waited: float) -> str:
    if process is None:
        return msg("the supervisor does not know this service")
    if process.pid is not None:
        return msg("no answer within {waited:.0f} s", waited=waited)
    code = (
        "" if process.exit_code is None else msg(" with exit code {exit_code}", exit_code=process.exit_code)
    )
    why = msg(
        "the process exited{code}, {exits} times in {waited:.0f} s",
        code=code,
        exits=max(exits(), 1),
        waited=waited,
    )
    if process.error and "too quickly" not in process.error:
        why += f" ({process.error})"
    return why


def _failure(name: str, why: str, result: ProbeResult, log: LogFrom) -> GateError:
    lines = log.tail(SHOWN_LINES)
    body = result.body.decode(errors="replace").strip()
    said = (
        result.detail
        if not body or body[:40] in result.detail
        else msg("{detail}: {body}", detail=result.detail, body=body[:500])
    )
    message = msg("{name} did not become ready, {why}; probe: {said}", name=name, why=why, said=said)
    if lines:
        quoted = "\n".join(f"  | {line}" for line in lines)
        message += msg("\nlast lines of {path}:\n{quoted}", path=log.path, quoted=quoted)
    return GateError(name, said, lines, message, msg("`techsapo logs {name}` shows more", name=name))
