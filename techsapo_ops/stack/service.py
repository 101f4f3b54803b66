"""One service of a stack, resolved: what its kind is, and the machine that it runs on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.spec.secret import Secret

HEARTBEAT = "heartbeat"
"""Kind of the probe of a service that listens nowhere."""
ON = "on-"
"""How folders begin whose files one machine reads: no name of a machine is a name that another folder has."""


@dataclass(frozen=True, slots=True)
class Probe:
    """How a service's readiness is asked: by a protocol that adapters.probe speaks; `path` is for http.

    One of the kind HEARTBEAT is not asked: it writes a sign of life, see services.scheduler.heartbeat.
    """

    kind: str
    path: str = "/"


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """The plain facts of a kind, which an apply records with each service."""

    kind: str
    title: str
    image: str
    """The official container image."""
    port: int
    """Port inside its container, and the default on the host."""
    user: str
    """System user that it drops to when started by root; empty for one that stays root."""
    uid: int
    """User id of the image, the owner of the copies of its secrets."""
    probe: Probe
    binary: str | None = None
    """Executable on PATH, and the Debian `package` that brings it."""
    package: str | None = None
    data: bool = False
    """Whether it keeps data; `container_data` is where its image keeps it: a new volume takes its owner from
    the folder that the image has there."""
    container_data: str = "/data"
    reload: str | None = None
    """Signal that makes it take over changed configuration; None: it is restarted."""
    needs: tuple[str, ...] = ()
    """Kinds that must be ready first, where they are part of the stack."""
    after: tuple[str, ...] = ()
    """Kinds that are started first, but that it can do without."""
    metrics_path: str | None = None
    published: bool = False
    """Whether a container of it has a port on this host; the others are private to the stack."""
    on_host: bool = False
    """Whether a container of it is on the host's network, to see it; it listens on the address by which
    containers reach the host, on the port of the spec."""
    on_machine: bool = False
    """Whether, on several machines, it is on the network of its own one, under that one's address."""
    front: bool = False
    """Whether it is what users reach a stack of several machines by, on a port of each of them."""
    runs_package: bool = False
    """Whether natively it runs this package, with the Python that runs the tool."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that checks or looks into services of a kind, and the Debian package that brings it."""

    name: str
    package: str
    purpose: str
    in_image: str | None = None
    """Its name in the image of the kind, where that is another than Debian's."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A host of the spec: `name` is its own host name, `address` what the others reach it by.

    `docker` leads to its Docker daemon, as the docker client takes it with `--host`. HERE has none of these:
    nothing is called after the only machine, and nothing of it has to be told from that of another one.
    """

    name: str
    address: str
    docker: str

    @property
    def own_folder(self) -> str:
        """Name of the folder, of a kind's rendered files, that its service on this machine alone reads."""
        return f"{ON}{self.name}" if self.name else ""

    def named(self, name: str, by: str = "-") -> str:
        """`name` as it is called on this machine."""
        return f"{name}{by}{self.name}" if self.name else name

    def labelled(self, key: str, value: str) -> dict[str, str]:
        """What tells something of this machine from the same of the others: `value` under `key`."""
        return {key: value} if self.name else {}

    def reached(self, host: str) -> str:
        """Where a service is reached that the spec has at `host`."""
        return self.address or host


HERE = Machine("", "", "")
"""Where a stack of one host runs."""


def machines_of(spec: Spec) -> tuple[Machine, ...]:
    """The machines of a spec, in its order; none for a stack of one host."""
    return tuple(Machine(name, host.address, host.docker) for name, host in spec.hosts.items())


@dataclass(frozen=True, slots=True)
class Login:
    """What a service is asked with: `password_file` holds the password where the tool made one.

    `greeting` is what the service says to whoever shows none, and by which it can be told that it is up.
    """

    user: str | None = None
    password: Secret | None = None
    password_file: Path | None = None
    greeting: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """One service that runs: `app-2` is of kind `app`."""

    name: str
    kind: str
    host: str
    """Address it listens on, or is published on."""
    port: int
    """Port on the host."""
    facts: ServiceFacts
    binary: str | None = None
    user: str | None = None
    """System user it runs as; None: the user of the tool."""
    weight: int = 1
    backup: bool = False
    needs: tuple[str, ...] = ()
    """Names of the services that must be ready first."""
    machine: Machine = HERE
    """Where it runs."""

    @property
    def instance(self) -> str:
        """Its name without its machine's: what it shares with the same one on the others."""
        return self.name.removesuffix(self.machine.named(""))
