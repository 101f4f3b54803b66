"""A stack of several machines as it was recorded: seen, read, measured and stopped without its spec."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from typing_extensions import override

from techsapo_ops.adapters.container_facts import STACK, ContainerFacts
from techsapo_ops.adapters.fleet import Fleet, Member
from techsapo_ops.adapters.questions import each_of
from techsapo_ops.adapters.unreachable import HostsAway, reasons_of
from techsapo_ops.engines.containers.stack import STATS, ContainerStack
from techsapo_ops.engines.swarm.copies import aside
from techsapo_ops.engines.swarm.shared_state import check
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import kinds
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.observed import Observed, ObservedService, State
from techsapo_ops.stack.service import Machine

_STOP_SECONDS = 120.0
_PAUSE = 0.3


class SwarmStack(ContainerStack):
    """What can be done to a stack of the swarm engine with its state directory alone."""

    name = "swarm"
    at_once = 64
    """All of them: what forms a cluster waits for its other members."""

    docker: Fleet

    def __init__(self, layout: Layout, project: str, fleet: Fleet, machines: Sequence[Machine]) -> None:
        super().__init__(layout, project, fleet)
        self.fleet = fleet
        fleet.ask_before_changes(lambda: check(layout.state))
        self.machines = tuple(machines)

    @override
    def containers(self) -> dict[str, ContainerFacts]:
        """The newest container of each service; a task that failed leaves its own beside the next one's."""
        return by_service(self.fleet.containers(self.project))

    def services(self) -> frozenset[str]:
        """Names of the services that Swarm has of this stack, with a container or without one.

        Raises OpsError where no manager answers.
        """
        of = f"label={STACK}={self.project}"
        listed = self.fleet.manager.call("service", "ls", "--filter", of, "--format", "{{.Name}}").split()
        return frozenset(name.removeprefix(f"{self.project}_") for name in listed)

    @property
    @override
    def data_place(self) -> str:
        return msg("in Docker volumes on each host")

    @override
    def _observe(self) -> Observed:
        """As its containers are; of a machine that does not answer, what was started there is listed so."""
        seen = super()._observe()
        unreachable = dict(self.fleet.unreachable)
        services = {
            name: replace(service, state=State.UNREACHABLE, gone=False)
            if service.machine in unreachable
            else service
            for name, service in sorted(seen.services.items(), key=lambda each: _place(each[1]))
        }
        return replace(seen, services=services, unreachable=unreachable)

    @override
    def away(self) -> Mapping[str, str]:
        return self.observe().unreachable

    @override
    def stop(self, *, remove_data: bool = False) -> tuple[str, ...]:
        """Remove the stack and wait until nothing of it runs on a machine that answers.

        With `remove_data` also the volumes, and the keys that were made for their content. Raises OpsError
        where a machine does not answer: what runs there would run on.
        """
        self.forget()
        containers = self.containers()
        if len(self.fleet.unreachable) == len(self.machines):
            raise HostsAway(self.fleet.unreachable)
        if self.fleet.unreachable:
            raise OpsError(
                msg("can't stop the services on {machines}", machines=reasons_of(self.fleet.unreachable)),
                msg(
                    "bring the host back; if it is lost for good, remove it first: `techsapo hosts remove "
                    "{name} --gone`",
                    name=next(iter(self.fleet.unreachable)),
                ),
            )
        stopped = tuple(n for n, c in containers.items() if c.state in {"running", "restarting", "paused"})
        self.fleet.manager.call("stack", "rm", self.project, timeout=_STOP_SECONDS)
        self._wait_gone()
        if remove_data:
            self._remove_volumes()
            aside(self.fleet, self.project).forget()
            self._remove_own_files()
        self.state.clear()
        return stopped

    def _wait_gone(self) -> None:
        records = self.state.load()
        longest = max((record.stop_seconds for record in records.values()), default=10) + _STOP_SECONDS
        started = time.monotonic()
        while left := self.containers():
            if time.monotonic() - started > longest:
                raise OpsError(
                    msg("{left} did not end within {longest:.0f} s",
                        left=", ".join(sorted(left)), longest=longest)
                )  # fmt: skip
            time.sleep(_PAUSE)

    def _remove_volumes(self) -> None:
        def one(member: Member) -> None:
            volumes = member.call("volume", "ls", "-q", "--filter", f"label={STACK}={self.project}").split()
            if volumes:
                member.call("volume", "rm", *volumes)

        self.fleet.each(one)

    @override
    def log_names(self, services: Sequence[str]) -> list[str]:
        """As of one host. Raises HostsAway where none has a container, and hosts do not answer."""
        if not self.glance().containers and self.fleet.unreachable:
            raise HostsAway(self.fleet.unreachable)
        return super().log_names(services)

    @override
    def _stats(self, containers: Sequence[str]) -> str:
        """Of all machines at the same time."""
        by_machine: dict[str, list[str]] = {}
        for container in containers:
            by_machine.setdefault(self.fleet.machine_of(container), []).append(container)

        def one(machine: str) -> str:
            return self.fleet.members[machine].call(*STATS, *by_machine[machine])

        return "\n".join(each_of({machine: partial(one, machine) for machine in by_machine}).values())


def by_service(containers: Iterable[ContainerFacts]) -> dict[str, ContainerFacts]:
    """The newest container of each service, one that runs before others."""
    return {container.service: container for container in sorted(containers, key=_precedence)}


def _precedence(container: ContainerFacts) -> tuple[bool, str]:
    """Sorts one that runs behind those that ended, and a later one behind an earlier one."""
    return container.running, container.created


def _place(service: ObservedService) -> tuple[int, str]:
    """Kinds in the order in which they are started, of each the machines in theirs."""
    known = [kind.name for kind in kinds()]
    return known.index(service.kind) if service.kind in known else len(known), service.name
