"""Reaches into the containers of a stack on several machines, and beside them."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from contextlib import suppress

from typing_extensions import override

from techsapo_ops.adapters.container_facts import STACK, ContainerFacts
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.process import Command
from techsapo_ops.engines.containers.access import ContainerAccess
from techsapo_ops.engines.swarm import front
from techsapo_ops.engines.swarm.nodes import nodes_of
from techsapo_ops.engines.swarm.recorded import SwarmStack
from techsapo_ops.engines.swarm.shared_state import check
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.problems import unknown
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology

HALTED = "node.labels.techsapo == halted"
"""A constraint that no node meets: a service that somebody has stopped."""
_ENDED = ("Complete", "Shutdown", "Failed", "Rejected", "Remove", "Orphaned")
"""As `docker service ps` calls tasks of which nothing runs any more."""
_STOP_SECONDS = 120.0
_PAUSE = 0.2
_HEARD_SECONDS = 5.0
"""After which it is asked whether Swarm still reaches the machine of a service that does not end."""


class Unheard(OpsError):
    """A machine does not hear what Swarm wants of it."""


class SwarmAccess(SwarmStack, ContainerAccess):
    """Of the stack of `topology`; see stack.engine.Access for what each method promises.

    A kind means any of its services that runs.
    """

    def __init__(self, topology: Topology, fleet: Fleet) -> None:
        super().__init__(topology.layout, topology.spec.project, fleet, topology.machines)
        self.topology = topology

    def in_turn(self, names: Sequence[str]) -> tuple[str, ...]:
        """The one on the machine with the front's address last; see stack.engine.Running."""
        if len(names) < 2:
            return tuple(names)
        self.forget()
        last = front.holders(self.topology, self.fleet, self.glance().containers)
        of = {s.name: s.machine.name for s in self.topology.services}
        return tuple(sorted(names, key=lambda name: of.get(name) in last))

    @override
    def beside(self, service: str, command: Command, *, image_of: str = "") -> Command:
        target, container = self._container(service)
        image = self._container(image_of)[1].image if image_of else container.image
        member = self.fleet.members[self.fleet.machine_of(container.id)]
        folder = str(self.topology.data_dir(target))
        volume = f"{self._volume(service)}:{folder}"
        return member.beside(("--volume", volume), image, str(target.facts.uid), folder, command)

    @override
    def data_entries(self, service: str) -> frozenset[str] | None:
        return None  # what one host has lost, the others have

    @override
    def removal(self, service: str) -> str:
        return msg(
            "run `techsapo down` and, on the service's host, `docker volume rm {volume}`",
            volume=self._volume(service),
        )

    @override
    def left(self, kind: str) -> tuple[str, ...]:
        listed = self.fleet.everywhere(
            ("volume", "ls", "--filter", f"label={STACK}={self.project}", "--format", "{{.Name}}")
        )
        names = {
            name.removeprefix(f"{self.project}_")
            for done in listed.values()
            if not isinstance(done, OpsError) and done.code == 0
            for name in done.stdout.decode().split()
        }
        known = {s.name for s in self.topology.services}
        mine = (name for name in sorted(names) if name.startswith(f"{kind}-") and name not in known)
        # Volumes with a service's folders in them are named after it as well.
        return tuple(name for name in mine if not any(name.startswith(f"{other}-") for other in known))

    def _volume(self, service: str) -> str:
        target = self._service(service)
        return f"{self.project}_{target.name if target is not None else service}"

    @override
    def halt(self, service: str) -> None:
        check(self.layout.state)
        self.forget()
        target = self._container(service)[0]
        name = f"{self.project}_{target.name}"
        self.fleet.manager.call(
            "service", "update", "--detach", "--quiet", "--constraint-add", HALTED, name, timeout=120
        )
        try:
            self._wait_ended(target, name)
        except Unheard:  # it would end once it hears of it, when nobody expects that any more
            with suppress(OpsError):
                self.fleet.manager.call(
                    "service", "update", "--detach", "--quiet", "--constraint-rm", HALTED, name, timeout=120
                )
            raise

    def _wait_ended(self, service: Service, name: str) -> None:
        """Wait until nothing of a service runs: Swarm says that it will be so, and goes on to stop it."""
        records = self.state.load()
        longest = (records[service.name].stop_seconds if service.name in records else 10) + _STOP_SECONDS
        until, heard = time.monotonic() + longest, time.monotonic() + _HEARD_SECONDS
        while True:
            tasks = self.fleet.manager.call("service", "ps", "--format", "{{.CurrentState}}", name)
            live = [line for line in tasks.splitlines() if not line.startswith(_ENDED)]
            self.forget()
            container = self.containers().get(service.name)
            if service.machine.name in self.fleet.unreachable:
                raise OpsError(
                    msg("{machine} can't be reached: {why}",
                        machine=service.machine.name, why=self.fleet.unreachable[service.machine.name]),
                    msg("{name} may still be running on that host", name=service.name),
                )  # fmt: skip
            if not live and (container is None or container.state in {"created", "exited", "dead"}):
                return
            if time.monotonic() > heard:
                self._require_heard(service)
                heard += _HEARD_SECONDS
            if time.monotonic() > until:
                raise OpsError(
                    msg("{left} did not end within {longest:.0f} s", left=service.name, longest=longest)
                )
            time.sleep(_PAUSE)

    def _require_heard(self, service: Service) -> None:
        """Raise Unheard where Swarm has lost the machine of a service, though its Docker answers here."""
        machine = service.machine.name
        for node in nodes_of(self.fleet.manager):
            if node.name == machine and (not node.ready or node.reach == "unreachable"):
                raise Unheard(
                    msg("the other hosts can't reach host {machine}, so {name} is still running on that host",
                        machine=machine, name=service.name),
                    msg("fix the network of that host, then try again; if the host is lost: `techsapo hosts "
                        "replace {machine}`", machine=machine),
                )  # fmt: skip

    @override
    def _throwaway_docker(self) -> Docker:
        """That of this computer: a throwaway container reads folders that are here. Raises OpsError."""
        own = self.fleet.members.get(socket.gethostname())
        by_socket = (self.fleet.members[m.name] for m in self.machines if m.docker.startswith("unix://"))
        if (local := own or next(by_socket, None)) is None:
            raise OpsError(
                msg(
                    "a throwaway server needs Docker and the stack's images on the machine that runs this "
                    "command"
                ),
                msg("run this command on one of the hosts: {names}", names=", ".join(self.fleet.members)),
            )
        return local

    @override
    def _service(self, service: str) -> Service | None:
        """The service of that name, or of a kind the first."""
        services = self.topology.services
        return next((s for s in services if s.name == service), None) or next(
            (s for s in services if s.kind == service), None
        )

    @override
    def _container(self, service: str) -> tuple[Service, ContainerFacts]:
        # Each statement of a database comes this way, and a look asks the Docker of every host twice.
        containers = self.glance().containers
        meant = [s for s in self.topology.services if s.name == service]
        meant = meant or [s for s in self.topology.services if s.kind == service]
        there = [s for s in meant if s.name in containers]
        running = [s for s in there if containers[s.name].running]
        if not there:
            if meant and meant[0].machine.name in self.fleet.unreachable:
                machine = meant[0].machine.name
                raise OpsError(
                    msg("{machine} can't be reached: {why}",
                        machine=machine, why=self.fleet.unreachable[machine])
                )  # fmt: skip
            raise unknown(msg("service"), service, list(containers))
        target = (running or there)[0]
        return target, containers[target.name]
