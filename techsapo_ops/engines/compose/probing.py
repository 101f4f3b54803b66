"""Asks a container whether it is ready: by its published port, or from inside the stack's networks.

Redis, MariaDB and the exporters are not reachable from the host, and are not to be: their images' own
health checks are run in them. An image of one static binary has none; the app's image, which is on every
network and holds Python, asks those.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.probe import ProbeResult
from techsapo_ops.adapters.process import Command
from techsapo_ops.engines.containers.probing import execute, fetching
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.probing import ask
from techsapo_ops.services.registry import kind_of
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.service_facts import HEARTBEAT
from techsapo_ops.stack.topology import Topology


@dataclass(frozen=True, slots=True)
class Prober:
    """Asks the services of one topology; `containers` gives what the daemon knows of them.

    `questions` has the commands for kinds that are asked in another way than by their health check.
    """

    topology: Topology
    docker: Docker
    containers: Callable[[], dict[str, ContainerFacts]]
    questions: Mapping[str, Command] = field(default_factory=dict)

    def of_now(self) -> Callable[[Service, float], ProbeResult]:
        """Asks in the containers that there are when this is called. Raises nothing for what it finds."""
        try:
            containers = self.containers()
        except OpsError as error:
            unknown = ProbeResult(False, error.message, 0.0)
            return lambda _, __: unknown
        return lambda service, timeout: self.ask(service, timeout, containers)

    def ask(
        self, service: Service, timeout: float, known: dict[str, ContainerFacts] | None = None
    ) -> ProbeResult:
        """Whether `service` is ready; never raises for what it or the daemon does.

        `known` spares a question to the daemon where its containers were looked at a moment ago.
        """
        started = time.monotonic()
        try:
            containers = self.containers() if known is None else known
        except OpsError as error:
            return ProbeResult(False, str(error), time.monotonic() - started)
        container = containers.get(service.name)
        if container is None:
            return ProbeResult(False, msg("it has no container"), time.monotonic() - started)
        if not container.running:
            return ProbeResult(
                False, msg("its container is {state}", state=container.state), time.monotonic() - started
            )
        if self.topology.published(service):
            return ask(self.topology, service, timeout)
        # Where its container passes its check as well, that says more.
        if service.facts.probe.kind == HEARTBEAT and not (beat := ask(self.topology, service, timeout)).ok:
            return beat
        return self._inside(service, container, containers, timeout)

    def _inside(
        self, service: Service, container: ContainerFacts, known: dict[str, ContainerFacts], timeout: float
    ) -> ProbeResult:
        if service.kind in self.questions:
            return execute(self.docker, container.id, self.questions[service.kind], timeout)
        if container.check:
            return execute(self.docker, container.id, Command(container.check), timeout)
        # Several instances may run; any will do.
        asker = next(
            (
                known[a.name]
                for a in self.topology.services
                if kind_of(a).asks_others and a.name in known and known[a.name].running
            ),
            None,
        )
        if asker is None:
            return ProbeResult(True, msg("its process runs (no app is there to ask it)"), 0.0)
        address = self.topology.address(service, Viewpoint.SERVICE)
        url = address.url(service.facts.probe.path)
        return execute(self.docker, asker.id, fetching(url, timeout), timeout)
