"""How an engine lays a stack out: where a service finds its things, where it listens, and who reaches it.

What differs between the engines is a value or a method here, so that nothing else has to ask which one it is.
Both are pure values; `render` needs both, since it writes the files of either engine whichever runs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from techsapo_ops.adapters.address import Address, reachable_host
from techsapo_ops.adapters.host_facts import HostFacts
from techsapo_ops.stack.address import Viewpoint, is_local, listen_host
from techsapo_ops.stack.machine import Machine, machines_of
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.service_facts import ServiceFacts

if TYPE_CHECKING:
    from techsapo_ops.spec.models import Spec

T = TypeVar("T")
EngineName = Literal["native", "compose", "swarm"]
CONTAINER_CONFIG = "/etc/techsapo"
SWARM = "swarm/"
"""Prefix of the rendered files of a stack on several machines."""
CONTAINER_SECRETS = "/run/secrets"
HOST_GATEWAY = "host-gateway.techsapo"
"""By this name a container finds the address of this host that containers reach: a bridge of Docker's."""
ANY = "0.0.0.0"  # noqa: S104 - inside a container, on private networks


class Places(Protocol):
    """The places of one engine's stacks."""

    @property
    def name(self) -> EngineName:
        """The engine, as a person calls it; to be told, never to be compared."""
        ...

    @property
    def rendered(self) -> str:
        """Prefix of the rendered configuration that its services read."""
        ...

    @property
    def own_files(self) -> str:
        """Prefix of all rendered files that it uses; the others are for whoever wants the other engine."""
        ...

    @property
    def definitions(self) -> tuple[str, ...]:
        """Rendered files that define its services."""
        ...

    def defines(self, service: str) -> str:
        """The line with which one of `definitions` begins to define `service`."""
        ...

    def units(self, programs: Callable[[], T], containers: Callable[[], T]) -> T:
        """What it runs services as: of both forms, the one that is its own."""
        ...

    @property
    def isolated(self) -> bool:
        """Whether services are alone on networks of their own, on which they may trust each other."""
        ...

    @property
    def from_images(self) -> bool:
        """Whether services come from images, whose entry points set a new one up."""
        ...

    def machines(self, spec: Spec) -> tuple[Machine, ...]:
        """The machines that a stack runs on; none where it is this host alone."""
        ...

    @property
    def neighbours(self) -> tuple[str, ...]:
        """Networks, beside the loopback, from which a service of the stack is talked to by another one."""
        ...

    def seen(self, here: Path, inside: str | Path) -> Path:
        """Where a service finds the file or folder `here` of this host, which a container has at `inside`."""
        ...

    def listens(self, service: Service) -> Address:
        """The address that `service` binds, where it runs."""
        ...

    def publishes(self, service: Service) -> bool:
        """Whether `service` can be reached from this host."""
        ...

    def bound(self, here: int, inside: int) -> int:
        """Which port is bound for one that is `here` on this host and `inside` a container."""
        ...

    def seen_as(self, service: Service) -> tuple[str, ...]:
        """Names or addresses under which other services see connections from `service`."""
        ...

    def starts_as_root(self, host: HostFacts) -> bool:
        """Whether a service that no other user runs is root's."""
        ...

    def address(self, service: Service, viewpoint: Viewpoint) -> Address:
        """Where `service` is reached from `viewpoint`."""
        ...

    def lacks(self, facts: ServiceFacts, host: HostFacts) -> bool:
        """Whether the host has nothing to run such a service with."""
        ...

    def user(self, facts: ServiceFacts, host: HostFacts) -> str | None:
        """System user of this host that it runs as; None: the tool's own, or a container's."""
        ...

    def as_root(self, service: Service, host: HostFacts) -> bool:
        """Whether `service` runs as root of this host since it has no user of its own."""
        ...


class NativePlaces:
    """Processes of this host: everything is where it is, and every port is this host's."""

    name: EngineName = "native"
    rendered = ""
    own_files = ""
    definitions = ("supervisor/supervisord.conf",)
    isolated = False
    from_images = False
    neighbours: tuple[str, ...] = ()

    def machines(self, spec: Spec) -> tuple[Machine, ...]:  # noqa: ARG002 - this host
        """None."""
        return ()

    def seen(self, here: Path, inside: str | Path) -> Path:  # noqa: ARG002 - nothing is mounted
        """`here` itself."""
        return here

    def listens(self, service: Service) -> Address:
        """The spec's own."""
        return Address(listen_host(service.host), service.port)

    def publishes(self, service: Service) -> bool:  # noqa: ARG002 - all of them
        """Always."""
        return True

    def bound(self, here: int, inside: int) -> int:  # noqa: ARG002 - nothing is mapped
        """`here` itself."""
        return here

    def seen_as(self, service: Service) -> tuple[str, ...]:  # noqa: ARG002 - every one of this host
        """The loopback addresses."""
        return ("127.0.0.1", "::1")

    def starts_as_root(self, host: HostFacts) -> bool:
        """Where the tool is root."""
        return host.root

    def address(self, service: Service, viewpoint: Viewpoint) -> Address:
        """The same for every process of this host."""
        return _outside(service, viewpoint) or Address(reachable_host(service.host), service.port)

    def lacks(self, facts: ServiceFacts, host: HostFacts) -> bool:
        """Whether its executable is not on PATH."""
        return facts.binary is not None and facts.binary not in host.binaries

    def user(self, facts: ServiceFacts, host: HostFacts) -> str | None:
        """The user that root drops to, where it exists and may work here."""
        candidates = host.app_users if facts.runs_package else host.users
        return facts.user if host.root and facts.user in candidates else None

    def as_root(self, service: Service, host: HostFacts) -> bool:
        """Where root runs the tool and no user was found for it."""
        return host.root and service.user is None and service.facts.user != ""

    def defines(self, service: str) -> str:
        """A section of the supervisor's configuration."""
        return f"[program:{service}]"

    def units(self, programs: Callable[[], T], containers: Callable[[], T]) -> T:  # noqa: ARG002 - not its form
        """Programs."""
        return programs()


class ContainerPlaces:
    """Containers on networks of their own, with the folders that they are given."""

    name: EngineName = "compose"
    rendered = "docker/config/"
    own_files = "docker/"
    definitions: tuple[str, ...] = (
        "docker/docker-compose.monitoring.yml",
        "docker/production/docker-compose.prod.yml",
    )
    isolated = True
    from_images = True
    neighbours = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")

    def machines(self, spec: Spec) -> tuple[Machine, ...]:  # noqa: ARG002 - this host
        """None."""
        return ()

    def seen(self, here: Path, inside: str | Path) -> Path:  # noqa: ARG002 - it is mounted
        """`inside`, where it is mounted."""
        return Path(inside)

    def listens(self, service: Service) -> Address:
        """Every address of the container, on the image's own port; on the host's network that one alone
        which containers reach.
        """
        if service.facts.on_host:
            return Address(HOST_GATEWAY, service.port)
        return Address(ANY, service.facts.port)

    def publishes(self, service: Service) -> bool:
        """Where its kind says so; the others are private to the stack."""
        return service.facts.published

    def bound(self, here: int, inside: int) -> int:  # noqa: ARG002 - Docker maps it
        """`inside`, which Docker publishes."""
        return inside

    def seen_as(self, service: Service) -> tuple[str, ...]:
        """Its name, which Docker's DNS knows."""
        return (service.name,)

    def starts_as_root(self, host: HostFacts) -> bool:  # noqa: ARG002 - every image has a user
        """Never."""
        return False

    def address(self, service: Service, viewpoint: Viewpoint) -> Address:
        """Its name on the stack's networks for other services, else the port that it publishes."""
        if service.facts.on_host and viewpoint is not Viewpoint.SERVICE:
            return Address(HOST_GATEWAY, service.port)
        if viewpoint is Viewpoint.SERVICE:
            return Address(service.name, service.port if service.facts.on_host else service.facts.port)
        if viewpoint is Viewpoint.WITHIN:
            return Address("127.0.0.1", service.facts.port)
        return _outside(service, viewpoint) or Address(reachable_host(service.host), service.port)

    def lacks(self, facts: ServiceFacts, host: HostFacts) -> bool:  # noqa: ARG002 - images hold everything
        """Never: its image holds it."""
        return False

    def user(self, facts: ServiceFacts, host: HostFacts) -> str | None:  # noqa: ARG002 - the image's
        """None: the container's own."""
        return None

    def as_root(self, service: Service, host: HostFacts) -> bool:  # noqa: ARG002 - never of this host
        """Never: a container's root is the container's."""
        return False

    def defines(self, service: str) -> str:
        """A key of a compose file."""
        return f"{service}:"

    def units(self, programs: Callable[[], T], containers: Callable[[], T]) -> T:  # noqa: ARG002 - not its form
        """Containers."""
        return containers()


class SwarmPlaces(ContainerPlaces):
    """Containers on several machines: most on a network that spans them, some on that of their machine."""

    name: EngineName = "swarm"
    rendered = f"{SWARM}config/"
    own_files = SWARM
    definitions = (f"{SWARM}stack.yml",)

    def machines(self, spec: Spec) -> tuple[Machine, ...]:
        """Those of the spec."""
        return machines_of(spec)

    def listens(self, service: Service) -> Address:
        """Every address of the container, on the image's own port; on its machine's network its address."""
        if service.machine is not None and _on_machine(service.facts):
            return Address(service.machine.address, service.port)
        return Address(ANY, service.facts.port)

    def publishes(self, service: Service) -> bool:
        """Where users come in. The others are asked from inside: who types need not reach the machines."""
        return service.facts.front

    def address(self, service: Service, viewpoint: Viewpoint) -> Address:
        """Its machine's address where that is its network, or where it is published; else its name."""
        if viewpoint is Viewpoint.WITHIN and not _on_machine(service.facts):
            return Address("127.0.0.1", service.facts.port)
        if service.machine is not None and (
            _on_machine(service.facts) or (viewpoint is not Viewpoint.SERVICE and service.facts.front)
        ):
            return Address(service.machine.address, service.port)
        return Address(service.name, service.facts.port)


def _on_machine(facts: ServiceFacts) -> bool:
    return facts.on_host or facts.on_machine


def _outside(service: Service, viewpoint: Viewpoint) -> Address | None:
    if viewpoint is not Viewpoint.OUTSIDE:
        return None
    return Address("localhost" if is_local(service.host) else service.host, service.port)


NATIVE: Places = NativePlaces()
COMPOSE: Places = ContainerPlaces()
MACHINES: Places = SwarmPlaces()
EVERY = (NATIVE, COMPOSE, MACHINES)
"""Those of each engine."""


def named_places(engine: str) -> Places | None:
    """The places of the engine that a spec names; None where the host decides which one it is."""
    return next((places for places in EVERY if places.name == engine), None)


def places_of(engine: str) -> Places:
    """The places of the engine of that name. Raises KeyError for a name that there is not."""
    found = named_places(engine)
    if found is None:
        raise KeyError(engine)
    return found
