"""Asks services whether they are ready from inside their containers, which Docker alone has to reach."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.probe import ProbeResult
from techsapo_ops.adapters.process import Command
from techsapo_ops.engines.containers.probing import execute, fetching
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import kind_of
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.role import Role
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology


@dataclass(frozen=True, slots=True)
class Prober:
    """Asks the services of one topology; `containers` gives those that were seen a moment ago.

    `questions` has the commands for kinds that are asked in another way than by their health check.
    """

    topology: Topology
    fleet: Fleet
    containers: Callable[[], Mapping[str, ContainerFacts]]
    questions: Mapping[str, Command] = field(default_factory=dict)

    def of_now(self) -> Callable[[Service, float], ProbeResult]:
        """Asks in the containers that there are when this is called. Raises nothing for what it finds."""
        try:
            known = self.containers()
        except OpsError as error:
            unknown = ProbeResult(False, error.message, 0.0)
            return lambda _, __: unknown
        return lambda service, timeout: self._with_role(service, timeout, known)

    def _with_role(
        self, service: Service, timeout: float, known: Mapping[str, ContainerFacts]
    ) -> ProbeResult:
        """As `ask`, and where it is one of a cluster, what it is there in place of a mere yes."""
        found = self.ask(service, timeout, known)
        role, left = kind_of(service).beside("role"), timeout - found.seconds
        if role is None or not found.ok or left <= 0:
            return found
        try:
            done = self.fleet.execute(
                known[service.name].id, role.question(self.topology, service), timeout=left
            )
        except OpsError:
            return found  # it is ready, which is what was asked
        told: Role = role.told(self.topology, done.stdout.decode(errors="replace"))
        return replace(found, detail=told.words or found.detail, wrong=told.wrong, sole=told.sole)

    def ask(self, service: Service, timeout: float, known: Mapping[str, ContainerFacts]) -> ProbeResult:
        """Whether `service` is ready; never raises for what it or a daemon does."""
        container = known.get(service.name)
        machine = service.machine.name if service.machine is not None else ""
        if machine in self.fleet.unreachable:
            why = self.fleet.unreachable[machine]
            return ProbeResult(False, msg("{machine} can't be reached: {why}", machine=machine, why=why), 0.0)
        if container is None:
            return ProbeResult(False, msg("it has no container"), 0.0)
        if not container.running:
            return ProbeResult(False, msg("its container is {state}", state=container.state), 0.0)
        started = time.monotonic()
        try:
            return self._inside(service, container, known, timeout)
        except OpsError as error:
            return ProbeResult(False, error.message, time.monotonic() - started)

    def _inside(
        self, service: Service, container: ContainerFacts, known: Mapping[str, ContainerFacts], timeout: float
    ) -> ProbeResult:
        if service.kind in self.questions:
            return execute(self.fleet, container.id, self.questions[service.kind], timeout)
        container_facts = kind_of(service).container(self.topology, service)
        if check := container_facts.ready or container_facts.healthcheck:
            return execute(self.fleet, container.id, Command(check), timeout)
        # On its own machine: what a cut network does to another one is not told of it.
        near = (a for a in self.topology.services if a.machine == service.machine and kind_of(a).asks_others)
        asker = next((known[a.name] for a in near if a.name in known and known[a.name].running), None)
        if asker is None:
            return ProbeResult(True, msg("its process runs (no app is there to ask it)"), 0.0)
        url = self.topology.address(service, Viewpoint.SERVICE).url(service.facts.probe.path)
        return execute(self.fleet, asker.id, fetching(url, timeout), timeout)
