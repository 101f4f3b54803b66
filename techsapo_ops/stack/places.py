"""How an engine lays a stack out: where a service finds its things, where it listens, and who reaches it.

What differs between the engines is a value or a method here, so that nothing else has to ask which one it is.
Both are pure values; `render` needs both, since it writes the files of either engine whichever runs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from typing_extensions import override

from techsapo_ops.adapters.address import Address, reachable_host
from techsapo_ops.adapters.host_facts import HostFacts
from techsapo_ops.stack.address import Viewpoint, is_local, listen_host
from techsapo_ops.stack.service import HERE, Machine, Service, ServiceFacts, machines_of

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


class Places(ABC):
    """The places of one engine's stacks. Where it has a default, that is right for containers of one host."""

    name: EngineName
    """The engine, as a person calls it; to be told, never to be compared."""
    rendered: str
    """Prefix of the rendered configuration that its services read."""
    container_files = "docker/"
    """Prefix of the rendered files that containers are given, configuration and secrets."""
    own_files: str
    """Prefix of all rendered files that it uses; the others are for whoever wants the other engine."""
    definitions: tuple[str, ...]
    """Rendered files that define its services."""
    isolated = True
    """Whether services are alone on networks of their own, on which they may trust each other."""
    from_images = True
    """Whether services come from images, whose entry points set a new one up."""
    neighbours: tuple[str, ...] = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
    """Networks, beside the loopback, from which a service of the stack is talked to by another one."""

    def defines(self, service: str) -> str:
        """The line with which one of `definitions` begins to define `service`."""
        return f"{service}:"

    state_travels = False
    """Whether the state directory goes from host to host: somebody goes on with it on any of them."""
    mounts_folders = True
    """Whether what services read changes while they run: they are given the very folders of this host."""
    shares_data = False
    """Whether what one service has lost others of its kind have."""

    def units(self, *, programs: Callable[[], T], containers: Callable[[], T], spread: Callable[[], T]) -> T:  # noqa: ARG002 - not its forms
        """What it runs services as: of these forms, the one that is its own."""
        return containers()

    def returns_to(self, other: Places) -> bool:  # noqa: ARG002 - it is all here
        """Whether a stack goes back by itself to what `other` laid out: where it is known to be this host."""
        return True

    def machines(self, spec: Spec) -> tuple[Machine, ...]:  # noqa: ARG002 - this host
        """The machines that a stack runs on; none where it is this host alone."""
        return ()

    def hosts(self, spec: Spec, *, between: bool) -> tuple[Machine, ...]:  # noqa: ARG002 - this host
        """Where services of a kind may stand; nowhere those that are `between` several machines, on one."""
        return () if between else (HERE,)

    def seen(self, here: Path, inside: str | Path) -> Path:  # noqa: ARG002 - it is mounted
        """Where a service finds the file or folder `here` of this host, which a container has at `inside`."""
        return Path(inside)

    @abstractmethod
    def listens(self, service: Service) -> Address:
        """The address that `service` binds, where it runs."""

    @abstractmethod
    def publishes(self, service: Service) -> bool:
        """Whether `service` can be reached from this host."""

    @abstractmethod
    def address(self, service: Service, viewpoint: Viewpoint) -> Address:
        """Where `service` is reached from `viewpoint`."""

    def any_of(self, service: Service) -> Address:
        """Where another service reaches whichever of this one and its like on other machines runs."""
        return self.address(service, Viewpoint.SERVICE)

    def bound(self, here: int, inside: int) -> int:  # noqa: ARG002 - Docker maps it
        """Which port is bound for one that is `here` on this host and `inside` a container."""
        return inside

    def seen_as(self, service: Service) -> tuple[str, ...]:
        """Names or addresses under which other services see connections from `service`."""
        return (service.name,)

    def starts_as_root(self, host: HostFacts) -> bool:  # noqa: ARG002 - every image has a user
        """Whether a service that no other user runs is root's."""
        return False

    def lacks(self, facts: ServiceFacts, host: HostFacts) -> bool:  # noqa: ARG002 - images hold everything
        """Whether the host has nothing to run such a service with."""
        return False

    def user(self, facts: ServiceFacts, host: HostFacts) -> str | None:  # noqa: ARG002 - the image's
        """System user of this host that it runs as; None: the tool's own, or a container's."""
        return None

    def as_root(self, service: Service, host: HostFacts) -> bool:  # noqa: ARG002 - a container's root is its own
        """Whether `service` runs as root of this host since it has no user of its own."""
        return False


class NativePlaces(Places):
    """Processes of this host: everything is where it is, and every port is this host's."""

    name = "native"
    rendered = ""
    own_files = ""
    definitions = ("supervisor/supervisord.conf",)
    isolated = False
    from_images = False
    neighbours = ()

    @override
    def defines(self, service: str) -> str:
        return f"[program:{service}]"

    @override
    def units(self, *, programs: Callable[[], T], containers: Callable[[], T], spread: Callable[[], T]) -> T:
        return programs()

    @override
    def seen(self, here: Path, inside: str | Path) -> Path:
        return here

    @override
    def listens(self, service: Service) -> Address:
        return Address(listen_host(service.host), service.port)

    @override
    def publishes(self, service: Service) -> bool:
        return True

    @override
    def address(self, service: Service, viewpoint: Viewpoint) -> Address:
        return _outside(service, viewpoint) or Address(reachable_host(service.host), service.port)

    @override
    def bound(self, here: int, inside: int) -> int:
        return here

    @override
    def seen_as(self, service: Service) -> tuple[str, ...]:
        return ("127.0.0.1", "::1")

    @override
    def starts_as_root(self, host: HostFacts) -> bool:
        return host.root

    @override
    def lacks(self, facts: ServiceFacts, host: HostFacts) -> bool:
        return facts.binary is not None and facts.binary not in host.binaries

    @override
    def user(self, facts: ServiceFacts, host: HostFacts) -> str | None:
        candidates = host.app_users if facts.runs_package else host.users
        return facts.user if host.root and facts.user in candidates else None

    @override
    def as_root(self, service: Service, host: HostFacts) -> bool:
        return host.root and service.user is None and service.facts.user != ""


class ContainerPlaces(Places):
    """Containers on networks of their own, with the folders that they are given."""

    name = "compose"
    rendered = "docker/config/"
    own_files = "docker/"
    definitions = (
        "docker/docker-compose.monitoring.yml",
        "docker/production/docker-compose.prod.yml",
    )

    @override
    def listens(self, service: Service) -> Address:
        # On the host's network that address alone which containers reach.
        if service.facts.on_host:
            return Address(HOST_GATEWAY, service.port)
        return Address(ANY, service.facts.port)

    @override
    def publishes(self, service: Service) -> bool:
        return service.facts.published

    @override
    def address(self, service: Service, viewpoint: Viewpoint) -> Address:
        """Its name on the stack's networks for other services, else the port that it publishes."""
        if service.facts.on_host and viewpoint is not Viewpoint.SERVICE:
            return Address(HOST_GATEWAY, service.port)
        if viewpoint is Viewpoint.SERVICE:
            return Address(service.name, service.port if service.facts.on_host else service.facts.port)
        if viewpoint is Viewpoint.WITHIN:
            return Address("127.0.0.1", service.facts.port)
        return _outside(service, viewpoint) or Address(reachable_host(service.host), service.port)


class SwarmPlaces(Places):
    """Containers on several machines: most on a network that spans them, some on that of their machine."""

    name = "swarm"
    rendered = f"{SWARM}config/"
    own_files = SWARM
    definitions = (f"{SWARM}stack.yml",)
    container_files = SWARM
    state_travels = True
    mounts_folders = False
    shares_data = True

    @override
    def units(self, *, programs: Callable[[], T], containers: Callable[[], T], spread: Callable[[], T]) -> T:
        return spread()

    @override
    def returns_to(self, other: Places) -> bool:
        return isinstance(other, SwarmPlaces)

    @override
    def machines(self, spec: Spec) -> tuple[Machine, ...]:
        return machines_of(spec)

    @override
    def hosts(self, spec: Spec, *, between: bool) -> tuple[Machine, ...]:
        return machines_of(spec)

    @override
    def listens(self, service: Service) -> Address:
        if _on_machine(service.facts):
            return Address(service.machine.address, service.port)
        return Address(ANY, service.facts.port)

    @override
    def publishes(self, service: Service) -> bool:
        # The others are asked from inside: who types need not reach the machines.
        return service.facts.front

    @override
    def address(self, service: Service, viewpoint: Viewpoint) -> Address:
        """Its machine's address where that is its network, or where it is published; else its name."""
        if viewpoint is Viewpoint.WITHIN and not _on_machine(service.facts):
            return Address("127.0.0.1", service.facts.port)
        if _on_machine(service.facts) or (viewpoint is not Viewpoint.SERVICE and service.facts.front):
            return Address(service.machine.address, service.port)
        return Address(service.name, service.facts.port)

    @override
    def any_of(self, service: Service) -> Address:
        # By the name that all share: Docker asks the hosts' own resolvers for a name that nothing runs by,
        # such as that of one on a lost machine, and believes them.
        return Address(service.instance, service.facts.port)

    @override
    def seen_as(self, service: Service) -> tuple[str, ...]:
        return (service.instance,)


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
    places = named_places(engine)
    if places is None:
        raise KeyError(engine)
    return places
