"""Waits for the task that Swarm makes of a service, and says why there is none."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.swarm_update import Progress, update_states
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.engine import GateError

_PAUSE = 0.2
_REFUSED_AFTER = 3.0
"""Seconds for which Swarm gives a reason for having no task until that is taken for the last word: of a place
that was freed just now it does not know yet."""
_ASKED_EVERY = 1.5


def wait_placed(
    name: str, look: Callable[[], ContainerFacts | None], why: Callable[[], str], seconds: float
) -> None:
    """Return once `look` finds the container of `name`. Raises GateError with what Swarm says (`why`)."""
    started = told = asked = time.monotonic()
    reason = ""
    while look() is None:
        now = time.monotonic()
        if now - asked > _ASKED_EVERY:
            before, reason, asked = reason, why(), now
            told = told if before and reason else now
        waited = now - started
        if (reason and asked - told > _REFUSED_AFTER) or waited > seconds:
            said = reason or msg("Swarm made no container within {seconds:.0f} s", seconds=waited)
            raise GateError(
                name,
                said,
                (),
                msg("{name} did not start: {said}", name=name, said=said),
                msg("`docker service ps --no-trunc` on a manager shows its tasks"),
            )
        time.sleep(_PAUSE)


def why_none(manager: Docker, service: str) -> str:
    """Why Swarm has no running task of `service` now, in its words; empty where it says nothing."""
    try:
        state = update_states(manager, [service]).get(service)
    except OpsError as error:
        return error.message
    if state is None or not state.over:
        return ""
    if state.progress is Progress.PAUSED:
        return msg("Swarm gave up: {reason}", reason=state.reason)
    if state.progress is Progress.ROLLED_BACK:
        return msg("Swarm went back to what ran before: {reason}", reason=state.reason)
    return state.reason


def ended(facts: ContainerFacts, failures: int) -> ContainerFacts:
    """A container that ended is one that Swarm starts again, by another one: so it is seen as one restart."""
    state = "restarting" if facts.state in {"exited", "dead"} else facts.state
    return replace(facts, restarts=failures, state=state)
