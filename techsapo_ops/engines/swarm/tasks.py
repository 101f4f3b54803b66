"""Waits for the task that Swarm makes of a service, and says why there is none.

Swarm waits without end for what will not come: an update of a service whose port somebody else has on its
node stays "updating" for ever, and `docker service ls` shows one task of one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.engine import GateError

_PAUSE = 0.2
_REFUSED_AFTER = 3.0
"""Seconds for which Swarm gives a reason for having no task until that is taken for the last word: of a place
that was freed just now it does not know yet."""
_ASKED_EVERY = 1.5
_WANTED = {"running", "ready"}
_WAITS = {"new", "pending", "rejected"}
"""States of a task that has no place yet, or can't have it."""
_ALIVE = {"starting", "running"}
_FAILED = {"failed", "rejected", "orphaned"}


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
        done = manager.attempt("service", "inspect", service)
        if done.code != 0:
            return "" if b"no such service" in done.stderr.lower() else manager.words(done)
        ids = manager.call("service", "ps", "--quiet", "--no-trunc", service).split()
        # A task may be gone before it is looked at.
        found = json.loads(manager.attempt("inspect", "--type", "task", *ids).stdout or b"[]") if ids else []
    except OpsError as error:
        return error.message
    return reason(json.loads(done.stdout)[0], found)


def reason(service: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]]) -> str:
    """What holds a service up or was given up, by `docker service inspect` and `docker inspect --type task`.

    Empty while waiting may help.
    """
    held = next((t for t in tasks if t["DesiredState"] in _WANTED and _is_held(t)), None)
    if held is not None:
        # One that was told to end and has not may have the port that the next one waits for.
        ending = (t for t in tasks if t["DesiredState"] not in _WANTED and t["Status"]["State"] in _ALIVE)
        return "" if any(ending) else str(held["Status"]["Err"])
    newest_first = sorted(tasks, key=lambda task: str(task["CreatedAt"]), reverse=True)
    failed = next((t for t in newest_first if t["Status"]["State"] in _FAILED), None)
    why = failed["Status"].get("Err", "") if failed is not None else ""
    match (service.get("UpdateStatus") or {}).get("State"):
        case "paused" | "rollback_paused":
            return msg("Swarm gave up: {reason}", reason=why)
        case "rollback_completed":
            return msg("Swarm went back to what ran before: {reason}", reason=why)
    return ""


def _is_held(task: Mapping[str, Any]) -> bool:
    return task["Status"]["State"] in _WAITS and bool(task["Status"].get("Err"))


def ended(facts: ContainerFacts, failures: int) -> ContainerFacts:
    """A container that ended is one that Swarm starts again, by another one: so it is seen as one restart."""
    state = "restarting" if facts.state in {"exited", "dead"} else facts.state
    return replace(facts, restarts=failures, state=state)
