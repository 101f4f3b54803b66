"""Services of one kind on several machines that know of each other: who leads, and who has left for good."""

from __future__ import annotations

from collections.abc import Callable

from techsapo_ops.engines.containers.engine import ContainerEngine
from techsapo_ops.engines.swarm.access import SwarmAccess
from techsapo_ops.engines.swarm.shared_state import check
from techsapo_ops.messages import msg
from techsapo_ops.services.runtime import runtime_of
from techsapo_ops.stack.service import Service


class Members(SwarmAccess, ContainerEngine):
    """Asks them, by the way into their containers."""

    def hand_over(self, machine: str) -> tuple[str, ...]:
        """Let other machines' services take over from those here that lead; which could not, and why."""
        self.forget()
        containers = self.containers()
        told = ((s.name, self._hand_over(s)) for s in self.topology.on(machine) if s.name in containers)
        return tuple(f"{name}: {why}" for name, why in told if why)

    def _hand_over(self, service: Service) -> str:
        check(self.layout.state)
        return runtime_of(service).hand_over(self.topology, service, self._door)

    def spare(self, service: Service, say: Callable[[str], None]) -> None:
        """Let another one take over from `service`, which is about to be stopped; and say where none can."""
        if why := self._hand_over(service):
            say(
                msg("{service} is stopped without a hand-over, and what it wrote last may be lost: {why}",
                    service=service.name, why=why)
            )  # fmt: skip

    def forget_members(self) -> None:
        """Let every service forget members of its cluster that are on no machine of the stack any more."""
        check(self.layout.state)
        self.forget()
        for service in self.topology.services:
            runtime_of(service).forget_members(self.topology, service, self._door)

    def give_up(self, machine: str) -> tuple[str, ...]:
        """Somebody's word, for those that wait for what is on `machine`, that it is gone; what they say."""
        check(self.layout.state)
        self.forget()
        kinds = {service.kind: service for service in self.topology.services}
        told = (runtime_of(each).give_up(self.topology, machine, self._door) for each in kinds.values())
        return tuple(words for words in told if words)
