"""Waits until a service that was deployed is ready: one look at all containers does for all who wait."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.adapters.probe import ProbeResult
from techsapo_ops.engines.containers import gate
from techsapo_ops.engines.containers.logs import tail
from techsapo_ops.engines.containers.probing import Prober
from techsapo_ops.engines.swarm import tasks
from techsapo_ops.engines.swarm.recorded import SwarmStack, by_service
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import kind_of
from techsapo_ops.stack.engine import GateError
from techsapo_ops.stack.service import Service

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
            taken, found = self._look
            if time.monotonic() - taken > _MOMENT:
                found = self._stack.fleet.containers(self._stack.project)
                self._look = (time.monotonic(), found)
            return found

    def until_ready(self, service: Service, definition: str | None = None, newer: str = "") -> None:
        """Wait until the container of `service` is ready: one made of `definition`, later than `newer`.

        Raises GateError, for a machine that can't be reached after some seconds already.
        """
        away: list[float] = []

        def look() -> ContainerFacts | None:
            seen = self.seen()
            self._require_reached(service, away)
            found = [
                c
                for c in seen
                if c.service == service.name and definition in (None, c.definition) and c.created > newer
            ]
            if not found:
                return None
            newest = max(found, key=lambda c: (c.running, c.created))
            return tasks.ended(newest, sum(not c.running for c in found))

        fleet, full = self._stack.fleet, f"{self._stack.project}_{service.name}"
        seconds = self._seconds or kind_of(service).container_deadline or kind_of(service).deadline
        tasks.wait_placed(service.name, look, lambda: tasks.why_none(fleet.manager, full), seconds)

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
                msg("bring it back; `techsapo hosts check {name}` tells what it lacks", name=machine),
            )

    def _tail(self, name: str) -> tuple[str, ...]:
        container = self._stack.containers().get(name)
        return tail(self._stack.docker, container.id, name, gate.SHOWN_LINES) if container is not None else ()
