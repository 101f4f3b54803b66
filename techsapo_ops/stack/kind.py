"""What a kind of service is to the rest of the tool: pure answers to what every room asks of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

if TYPE_CHECKING:  # `techsapo ps` asks a kind's name and user, and needs nothing of a spec
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.address import Viewpoint
    from techsapo_ops.stack.backup import BackupKind
    from techsapo_ops.stack.container import Build, Container, Package
    from techsapo_ops.stack.desired import Program, RenderedFile
    from techsapo_ops.stack.places import Places
    from techsapo_ops.stack.secrets import StoredSecret
    from techsapo_ops.stack.service import Login, Machine, Service, ServiceFacts, Tool
    from techsapo_ops.stack.templates import Templates
    from techsapo_ops.stack.topology import Topology

LOOPBACK = "127.0.0.1"
HANG_UP = ("sh", "-c", "kill -HUP 1")
"""Sends its own first process SIGHUP inside a container; the shell has `kill` in every image that has one."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A service that a spec asks for, before it is known whether this host can run it."""

    name: str
    host: str
    port: int
    weight: int = 1
    backup: bool = False


class Kind:
    """A kind of service. A new one is a folder below services/ with a subclass, and its line in the registry.

    Most answers have a default; no method does any I/O.
    """

    facts: ServiceFacts
    watches = ""
    """For an exporter, the kind that it watches: without one it makes no sense."""
    data_files: tuple[str, ...] = ()
    """Files or folders that it makes at its start, of which its data folder has one as long as its data is
    there; none where it has no data whose loss would be noticed."""
    monitors = False
    """Whether it stands in the compose file of what watches the stack, not in that of what is watched."""
    networks: tuple[str, ...] = ()
    """Those of the container networks that it is on: edge, data, metrics."""
    reads: tuple[str, ...] = ()
    """Prefixes of the rendered configuration, besides secrets, that call for a reload or a restart."""
    unread: tuple[str, ...] = ()
    """Folders that its container is given, and whose change calls for neither."""
    secrets: tuple[str, ...] = ()
    """Places in the spec whose secrets its services read, each with all below it."""
    deadline = 45.0
    """Seconds within which a started service has to be ready."""
    container_deadline: float | None = None
    """The same for a container, where its image's first start takes longer."""
    retitled: str | None = None
    """What its process puts before its arguments where the kernel shows them; None: nothing, it leaves them.

    Empty for one that shows none of them any more.
    """
    reload_command: tuple[str, ...] = ()
    """What tells it inside its container to take over changed configuration."""
    looks_up: tuple[str, ...] = ()
    """Kinds whose addresses it looks up only when it loads its configuration."""
    asks_others = False
    """Whether its container, which is on every network and holds Python, can ask others over HTTP."""
    port_setting = ""
    """Where the spec says its port."""
    scheme = "http"
    """How its URLs begin where it does not speak TLS."""
    vital = False
    """Whether the stack is down without it."""
    comes_last = False
    """Whether every kind that stands before it in the registry is started first, where it can do without."""
    restart_seconds: int | None = None
    """Seconds that a restart leaves to what is under way, where nothing new is taken meanwhile.

    None: as long as a stop does."""
    balances = ""
    """The kind whose services it balances: of those, one after the other is restarted."""
    turns_away = False
    """Whether it turns users away while the folder of maintenance beside its configuration says so."""
    serves_certificates = False
    """Whether it serves the certificates of the spec."""
    between_machines = False
    """Whether it has something to do only where there are several machines."""
    starts_first = False
    """Whether, on several machines, another one of it may start beside the one whose place it takes."""
    version_option = "--version"
    """What makes its program say its version."""
    programs: tuple[str, ...] = ()
    """Executables that the tool runs of its package, besides the server's own."""
    validator: Tool | None = None
    """What checks its generated files."""

    @property
    def name(self) -> str:
        """Its name, on the command line and everywhere else."""
        return self.facts.kind

    @cached_property
    def member(self) -> Kind:
        """The kind on each of several machines: MEMBER of the module `member` beside it, else itself."""
        module = self.beside("member")
        kind: Kind = module.MEMBER if module is not None else self
        return kind

    @property
    def reloads_in_container(self) -> bool:
        """Whether its container can be told to take over changed configuration; else it is restarted."""
        return bool(self.reload_command)

    @property
    def job(self) -> str:
        """Name of its scrape job in Prometheus."""
        return self.name

    def beside(self, name: str) -> ModuleType | None:
        """The module `name` beside this kind's: what of it touches the world. None where it has none.

        That of kind.py is `NAME.py`, that of a kind in another file, such as sentinel.py, `sentinel_NAME.py`;
        where a member has none, it is that of the kind alone.
        """
        for each in type(self).mro()[:-2]:  # without Kind and object
            folder, _, own = each.__module__.rpartition(".")
            module = f"{folder}.{name}" if own == "kind" else f"{folder}.{own}_{name}"
            if find_spec(module) is not None:
                return import_module(module)
        return None

    def instances(self, spec: Spec, places: Places) -> Iterable[Wanted]:
        """The services of this kind that a spec asks for; none where it is not in this stack."""
        raise NotImplementedError

    def machines(self, every: Sequence[Machine]) -> Sequence[Machine]:
        """Those of several machines on which it stands; before one is lost, all that take its place do."""
        return every

    def files(self, topology: Topology, templates: Templates) -> Iterable[RenderedFile]:  # noqa: ARG002 - none
        """Its rendered configuration. Raises OpsError for a value that can't be written into it."""
        return ()

    def secret_files(self, topology: Topology) -> Iterable[RenderedFile]:  # noqa: ARG002 - most need none
        """Secrets in a format of its own, beside the copies of those in `secrets`. Raises OpsError."""
        return ()

    def made_secrets(self, topology: Topology) -> Mapping[str, Path]:  # noqa: ARG002 - most need none
        """Secrets that the tool makes itself, by the name under which a container gets each."""
        return {}

    def stored_secrets(self, topology: Topology) -> Iterable[StoredSecret]:  # noqa: ARG002 - most have none
        """Its secrets that a person may need."""
        return ()

    def login(self, topology: Topology) -> Login | None:  # noqa: ARG002 - most ask for none
        """What its probe logs in with; None where it needs no login."""
        return None

    def program(self, topology: Topology, service: Service) -> Program:  # noqa: ARG002 - likewise
        """How `service` runs as a process of this host. Raises OpsError without its executable."""
        raise OpsError(
            msg("{service} runs only in a container", service=service.name), "`techsapo up --engine compose`"
        )

    def container(self, topology: Topology, service: Service) -> Container:
        """How `service` runs in a container of its image."""
        raise NotImplementedError

    def build(self, topology: Topology, templates: Templates, package: Package) -> Build | None:  # noqa: ARG002 - images are pulled
        """How its image is built, with this `package` in it; None for one that is pulled."""
        return None

    def built_from(self, spec: Spec) -> tuple[str, ...]:  # noqa: ARG002 - likewise
        """The images that its own is built from."""
        return ()

    def url(self, topology: Topology, service: Service, viewpoint: Viewpoint | None = None) -> str:
        """Where `service` is reached from `viewpoint`; by default by a user of this host."""
        from techsapo_ops.spec.store_access import speaks_tls
        from techsapo_ops.stack.address import Viewpoint

        scheme = self.scheme + "s" * speaks_tls(topology.spec, self.name)
        return topology.address(service, viewpoint or Viewpoint.OUTSIDE).url(scheme=scheme)

    def notes(self, topology: Topology) -> Iterable[str]:  # noqa: ARG002 - most have nothing to say
        """What the stack does without being told, with it or for lack of it, one sentence each."""
        return ()

    def ports(self, topology: Topology, service: Service) -> Sequence[tuple[int, int]]:  # noqa: ARG002 - one
        """Its ports: in its container, and on this host."""
        return ((service.facts.port, service.port),)

    def backup(self) -> BackupKind | None:
        """How its data is backed up; None where it has none, or none that is worth it.

        BACKUP of the module `backup` beside it, imported when it is asked for: whoever only looks at services
        needs nothing of it.
        """
        module = self.beside("backup")
        kind: BackupKind | None = module.BACKUP if module is not None else None
        return kind

    def data_names(self, topology: Topology) -> tuple[str, ...]:  # noqa: ARG002 - the same for most
        """`data_files`, unless where its data is depends on the stack."""
        return self.data_files

    def has_audit_log(self, topology: Topology) -> bool:  # noqa: ARG002 - most have none
        """Whether the audit log is in its data."""
        return False

    def setting_of(self, service: Service) -> str:  # noqa: ARG002 - the same for each
        """Where the spec says the port of `service`."""
        return self.port_setting


def executable(service: Service) -> str:
    """Path of the executable of `service`. Raises OpsError where the host has none."""
    if service.binary is None:
        raise OpsError(
            msg("the executable of {service} was not found on this host", service=service.name),
            msg("`techsapo doctor` shows what is missing"),
        )
    return service.binary
