"""Where everything is: which services a stack has, and their addresses, users and directories.

Resolved once, from the spec and what the host offers; `render` and the engines both read it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.host_facts import HostFacts
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.places import CONTAINER_CONFIG, CONTAINER_SECRETS, EngineName, Places
from techsapo_ops.stack.service import Machine, Service

if TYPE_CHECKING:
    from techsapo_ops.spec.models import Spec


@dataclass(frozen=True, slots=True)
class Absent:
    """A part that the stack does not run, why, and what would bring it."""

    kind: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Topology:
    """What a spec comes to on a host: the services, their addresses, and where everything of them is."""

    spec: Spec = field(compare=False)
    places: Places
    layout: Layout
    host: HostFacts
    services: tuple[Service, ...]
    absent: tuple[Absent, ...]

    @property
    def engine(self) -> EngineName:
        """Name of the engine that runs it."""
        return self.places.name

    @property
    def machines(self) -> tuple[Machine, ...]:
        """The machines that it runs on, in the spec's order; none for a stack of one host."""
        return self.places.machines(self.spec)

    def on(self, machine: str) -> tuple[Service, ...]:
        """The services of the machine of that name."""
        return tuple(s for s in self.services if s.machine.name == machine)

    def of_kind(self, kind: str) -> tuple[Service, ...]:
        """All services of one kind, in the spec's order."""
        return tuple(s for s in self.services if s.kind == kind)

    def find(self, name: str) -> Service | None:
        """The service of that name, or of that kind where it is the only one."""
        named = [s for s in self.services if s.name == name] or list(self.of_kind(name))
        return named[0] if len(named) == 1 else None

    def meant(self, word: str) -> tuple[Service, ...]:
        """The service of that name, or else all of that kind: one on each of several machines."""
        return tuple(s for s in self.services if s.name == word) or self.of_kind(word)

    def beside(self, service: Service, kind: str) -> Service:
        """The first service of `kind` on the machine of `service`. Raises OpsError for none."""
        other = next((s for s in self.of_kind(kind) if s.machine == service.machine), None)
        if other is None:
            raise OpsError(
                msg(
                    "{name} needs {kind} on the same host, but that host has none",
                    name=service.name,
                    kind=kind,
                )
            )
        return other

    def comes_after(self, service: Service) -> tuple[str, ...]:
        """Names of the services that are started before `service`, as far as the stack has them."""
        earlier = (s.name for s in self.services if s.kind in service.facts.after)
        return tuple(dict.fromkeys((*service.needs, *earlier)))

    def has(self, kind: str) -> bool:
        """Whether the stack runs any service of this kind."""
        return bool(self.of_kind(kind))

    def published(self, service: Service) -> bool:
        """Whether `service` can be reached from this host; one without a port listens nowhere."""
        return service.port != 0 and self.places.publishes(service)

    def address(self, service: Service, viewpoint: Viewpoint) -> Address:
        """Where `service` is reached from `viewpoint`."""
        return self.places.address(service, viewpoint)

    def listens(self, service: Service) -> Address:
        """The address that `service` binds, where it runs."""
        return self.places.listens(service)

    def data_dir(self, service: Service) -> Path:
        """Data directory of `service`, as the service sees it."""
        return self.places.seen(self.layout.data / service.name, service.facts.container_data)

    def config_dir(self) -> Path:
        """Root of the generated configuration, as the services see it."""
        return self.places.seen(self.layout.config, CONTAINER_CONFIG)

    def secret_path(self, name: str) -> Path:
        """Path of the rendered secret `name`, as its service sees it."""
        return self.places.seen(self.layout.secrets / name, f"{CONTAINER_SECRETS}/{name}")

    def certificate_dir(self, name: str) -> Path:
        """Folder with fullchain.pem and privkey.pem of certificate `name`, as nginx sees it."""
        return self.places.seen(self.layout.certs / name, f"{CONTAINER_CONFIG}/certs/{name}")

    def relocated(self, layout: Layout) -> Topology:
        """The same stack with other directories, e.g. for a staging area."""
        return replace(self, layout=layout)
