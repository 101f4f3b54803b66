"""What a server that speaks TLS within the stack, and its clients there, are given.

It is the same for each kind whose section of the spec has `tls`; the clients are the kinds that need it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.adapters.address import reachable_host
from techsapo_ops.spec.store_access import certificate_of, speaks_tls
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.places import CONTAINER_CONFIG
from techsapo_ops.stack.service import Service

if TYPE_CHECKING:
    from techsapo_ops.stack.container import Bind
    from techsapo_ops.stack.topology import Topology


@dataclass(frozen=True, slots=True)
class OwnTls:
    """What a server of the stack's own needs to speak TLS to its clients in the stack.

    `folder` holds the CA, which signs nothing else; `certificate` is the folder of the server's certificate
    and key, `ca` the CA certificate that clients trust, alone in a folder for their containers. `names` is
    what clients call it by: on this host, by its address, in containers. `title` names it in a sentence.
    """

    title: str
    folder: Path
    certificate: Path
    ca: Path
    names: tuple[str, ...]

    @property
    def key(self) -> Path:
        """The server's private key, which it alone is to read."""
        return self.certificate / "privkey.pem"


def own_tls(topology: Topology, service: Service) -> OwnTls | None:
    """What `service` needs to speak TLS; None where it does not."""
    if not speaks_tls(topology.spec, service.kind):
        return None
    layout, kind = topology.layout, service.kind
    own = certificate_of(kind)
    # One for all of several: whichever a client is led to.
    own_names = [each.name for each in topology.services if certificate_of(each.kind) == own]
    own_names += [machine.address for machine in topology.machines]
    names = (*own_names, "localhost", "127.0.0.1", "::1", reachable_host(service.host))
    return OwnTls(
        service.facts.title,
        _folder(layout, kind),
        certificate(layout, kind),
        ca_file(layout, kind),
        tuple(dict.fromkeys(names)),
    )


def trusted(topology: Topology, service: Service) -> tuple[str, ...]:
    """Kinds of the stack that speak TLS to `service`, which reads the CA of each when it starts."""
    needed = (kind for kind in service.facts.needs if topology.has(kind))
    return tuple(kind for kind in needed if speaks_tls(topology.spec, kind))


def _folder(layout: Layout, kind: str) -> Path:
    return layout.keys / f"{certificate_of(kind)}-tls"


def certificate(layout: Layout, kind: str) -> Path:
    """Folder with fullchain.pem and privkey.pem of the stack's server of a kind."""
    return _folder(layout, kind) / "server"


def ca_file(layout: Layout, kind: str) -> Path:
    """The CA certificate that clients of that server trust; alone in a folder for containers."""
    return _folder(layout, kind) / "trust" / "ca.pem"


def certificate_seen(topology: Topology, kind: str) -> Path:
    """Folder with fullchain.pem and privkey.pem of that server, as the server sees it."""
    return topology.places.seen(
        certificate(topology.layout, kind), f"{CONTAINER_CONFIG}/{certificate_of(kind)}-tls"
    )


def ca_seen(topology: Topology, kind: str) -> Path:
    """The CA certificate that clients of that server trust, as it and its clients in the stack see it."""
    inside = f"{CONTAINER_CONFIG}/{certificate_of(kind)}-ca/ca.pem"
    return topology.places.seen(ca_file(topology.layout, kind), inside)


def tls_binds(topology: Topology, service: Service) -> tuple[Bind, ...]:
    """What the container of `service` is given: its certificate, and the CA of each server that it asks.

    A server's own CA is among them, for the clients in its container.
    """
    from techsapo_ops.stack.container import Bind

    own = own_tls(topology, service)
    speaking = trusted(topology, service)
    binds = []
    if own is not None:
        binds.append(Bind(own.certificate, str(certificate_seen(topology, service.kind))))
        speaking = (service.kind, *speaking)
    binds += [
        Bind(ca_file(topology.layout, kind).parent, str(ca_seen(topology, kind).parent)) for kind in speaking
    ]
    return tuple(binds)
