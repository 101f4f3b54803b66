"""What a kind of service is, whichever engine runs it."""

from __future__ import annotations

from dataclasses import dataclass

HEARTBEAT = "heartbeat"
"""Kind of the probe of a service that listens nowhere."""


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
