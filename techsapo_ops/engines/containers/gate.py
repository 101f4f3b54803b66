"""Waits until a container is ready, or says why it is not."""

from __future__ import annotations

import time
from collections.abc import Callable

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.adapters.probe import ProbeResult
from techsapo_ops.messages import msg
from techsapo_ops.stack.engine import GateError

SHOWN_LINES = 20
GIVE_UP_AFTER_RESTARTS = 3


def wait_ready(
    name: str,
    *,
    look: Callable[[], ContainerFacts | None],
    ask: Callable[[ContainerFacts, float], ProbeResult],
    lines: Callable[[], tuple[str, ...]],
    seconds: float,
) -> None:
    """Return once the service `name` answers and its process is the one that ran before it was asked.

    `look()` asks the daemon, `ask(facts, timeout)` the service; `lines()` is the end of its log.
    Docker's own health check first runs a second after the start; the same command, or the published port,
    is asked here at once. Raises GateError after `seconds`, or as soon as the process keeps ending, with the
    probe's answer and the last 20 lines of the log.
    """
    started = time.monotonic()
    first = look()
    before_restarts = first.restarts if first is not None else 0
    pause = 0.05
    facts = first
    while True:
        left = seconds - (time.monotonic() - started)
        over = facts is None or facts.state in {"exited", "dead"}
        if facts is not None and facts.restarts - before_restarts >= GIVE_UP_AFTER_RESTARTS:
            over = True
        result = ProbeResult(False, msg("it does not run"), 0.0)
        if facts is not None and facts.running:
            result = ask(facts, max(min(left, 5.0), 0.5))
            if result.ok:
                after = look()
                if after is not None and after.running and after.pid == facts.pid:
                    return
        if over or left <= 0:
            raise _failure(name, facts, result, time.monotonic() - started, lines())
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)
        facts = look()


def _failure(
    name: str, facts: ContainerFacts | None, result: ProbeResult, waited: float, lines: tuple[str, ...]
) -> GateError:
    if facts is None:
        why = msg("it has no container")
    elif not facts.running:
        why = msg(
            "its container is {state}, exit code {exit_code}", state=facts.state, exit_code=facts.exit_code
        )
        if facts.restarts:
            why += msg(", after {restarts} restarts", restarts=facts.restarts)
        if facts.error:
            why += f" ({facts.error})"
    elif facts.restarts >= GIVE_UP_AFTER_RESTARTS:
        why = msg(
            "it ended by itself, {restarts} × in {waited:.0f} s", restarts=facts.restarts, waited=waited
        )
    else:
        why = msg("not within {waited:.0f} s", waited=waited)
    said = result.detail
    if facts is not None and facts.health == "unhealthy" and facts.said and facts.said not in said:
        said = msg("{said}; its health check: {said2}", said=said, said2=facts.said[-500:])
    message = msg("{name} did not become ready, {why}; probe: {said}", name=name, why=why, said=said)
    if lines:
        quoted = "\n".join(f"  | {line}" for line in lines)
        message += msg("\nlast lines of its log:\n{quoted}", quoted=quoted)
    return GateError(name, said, lines, message, msg("`techsapo logs {name}` shows more", name=name))
