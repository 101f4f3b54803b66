"""Waits until a service that was deployed is ready: one look at all containers does for all who wait.

Swarm waits without end for what will not come: an update of a service whose port somebody else has on its
node stays "updating" for ever, and `docker service ls` shows one task of one. So it is asked why.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.probe import ProbeResult
from techsapo_ops.engines.containers import gate
from techsapo_ops.engines.containers.gate import Prober
from techsapo_ops.engines.containers.logs import tail
from techsapo_ops.engines.swarm.recorded import SwarmStack, by_service
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import kind_of
from techsapo_ops.stack.engine import GateError
from techsapo_ops.stack.service import Service

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
_MOMENT = 0.4
"""Seconds for which a look at all containers does for everybody who waits for one."""
_AWAY = 15.0
"""Seconds for which the machine of a service may answer no look, until it is not waited for any longer."""


class Watch:
    """Looks at the containers of `stack` and asks them by `prober`.

    `seconds` overrides how long a service may take to become ready.
    """

    def __init__(self, stack: SwarmStack, prober: Prober, seconds: float | None) -> None:
        self._stack = stack
        # Without logins: the database gets its own only after it is up.
        self._prober = replace(prober, questions={})
        self._seconds = seconds
        self._looking = threading.Lock()
        self._look: tuple[float, tuple[ContainerFacts, ...]] = (0.0, ())

    def seen(self) -> tuple[ContainerFacts, ...]:
        """All containers of the stack, as they were less than a moment ago. Raises OpsError."""
        with self._looking:
            taken, containers = self._look
            if time.monotonic() - taken > _MOMENT:
                containers = self._stack.fleet.containers(self._stack.project)
                self._look = (time.monotonic(), containers)
            return containers

    def until_ready(self, service: Service, definition: str | None = None, newer: str = "") -> None:
        """Wait until the container of `service` is ready: one made of `definition`, later than `newer`.

        Raises GateError, for a machine that can't be reached after some seconds already.
        """
        away: list[float] = []

        def look() -> ContainerFacts | None:
            seen = self.seen()
            self._require_reached(service, away)
            matching = [
                c
                for c in seen
                if c.service == service.name and definition in (None, c.definition) and c.created > newer
            ]
            if not matching:
                return None
            newest = max(matching, key=lambda c: (c.running, c.created))
            return ended(newest, sum(not c.running for c in matching))

        fleet, full = self._stack.fleet, f"{self._stack.project}_{service.name}"
        seconds = self._seconds or kind_of(service).container_deadline or kind_of(service).deadline
        wait_placed(service.name, look, lambda: why_none(fleet.manager, full), seconds)

        def ask(facts: ContainerFacts, timeout: float) -> ProbeResult:
            return self._prober.ask(service, timeout, {**by_service(self.seen()), service.name: facts})

        gate.wait_ready(
            service.name, look=look, ask=ask, lines=lambda: self._tail(service.name), seconds=seconds
        )

    def _require_reached(self, service: Service, away: list[float]) -> None:
        """Raise GateError where the machine has not answered for a while; `away` notes since when."""
        machine = service.machine.name
        why = self._stack.fleet.unreachable.get(machine)
        if why is None:
            away.clear()
            return
        away.append(time.monotonic())
        if away[-1] - away[0] > _AWAY:
            said = msg("{machine} can't be reached: {why}", machine=machine, why=why)
            raise GateError(
                service.name,
                said,
                (),
                msg("{name} did not start: {said}", name=service.name, said=said),
                msg(
                    "bring host {name} back; `techsapo hosts check {name}` shows what is missing",
                    name=machine,
                ),
            )

    def _tail(self, name: str) -> tuple[str, ...]:
        container = self._stack.containers().get(name)
        return tail(self._stack.docker, container.id, name, gate.SHOWN_LINES) if container is not None else ()


def wait_placed(
    name: str, look: Callable[[], ContainerFacts | None], why: Callable[[], str], seconds: float
) -> None:
    """Return once `look` finds the container of `name`. Raises GateError with what Swarm says (`why`)."""
    started = reason_since = asked = time.monotonic()
    reason = ""
    while look() is None:
        now = time.monotonic()
        if now - asked > _ASKED_EVERY:
            before, reason, asked = reason, why(), now
            reason_since = reason_since if before and reason else now
        waited = now - started
        if (reason and asked - reason_since > _REFUSED_AFTER) or waited > seconds:
            said = reason or msg("Swarm made no container within {seconds:.0f} s", seconds=waited)
            raise GateError(
                name,
                said,
                (),
                msg("{name} did not start: {said}", name=name, said=said),
                msg("`docker service ps --no-trunc` on a manager shows the service's tasks"),
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
        tasks = json.loads(manager.attempt("inspect", "--type", "task", *ids).stdout or b"[]") if ids else []
    except OpsError as error:
        return error.message
    return reason(json.loads(done.stdout)[0], tasks)


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
            return msg("Swarm gave up the update: {reason}", reason=why)
        case "rollback_completed":
            return msg("Swarm rolled back to the previous version: {reason}", reason=why)
    return ""


def _is_held(task: Mapping[str, Any]) -> bool:
    return task["Status"]["State"] in _WAITS and bool(task["Status"].get("Err"))


def ended(facts: ContainerFacts, failures: int) -> ContainerFacts:
    """A container that ended is one that Swarm starts again, by another one: so it is seen as one restart."""
    state = "restarting" if facts.state in {"exited", "dead"} else facts.state
    return replace(facts, restarts=failures, state=state)
