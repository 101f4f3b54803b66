"""By which CA certificates the blackbox exporter knows those that it asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from techsapo_ops.spec.models.servers import Certificate
from techsapo_ops.spec.user_path import user_path
from techsapo_ops.stack.container import Bind
from techsapo_ops.stack.places import CONTAINER_CONFIG
from techsapo_ops.stack.topology import Topology

_FOLDER = f"{CONTAINER_CONFIG}/blackbox-ca"


def front_ca(topology: Topology) -> Path | None:
    """What the front's certificate is known by, as the exporter sees it; None: what the system trusts.

    A certificate of Let's Encrypt is judged as browsers do. Of any other it is
    not known here who trusts its authority: the stored chain stands for it, so that name, life and key are
    checked. A chain that is renewed is read anew at each probe.
    """
    name = topology.spec.served_certificate
    if name is None or _of_lets_encrypt(topology.spec.certificates[name]):
        return None
    return topology.certificate_dir(name) / "fullchain.pem"


def target_ca(topology: Topology, name: str) -> Path:
    """The spec's `ca_file` of the probe `name`, as the exporter sees it."""
    return _seen(topology, f"probe-{name}")


def binds(topology: Topology) -> Iterator[Bind]:
    """What its container is given to know others by."""
    for key, path in _named(topology).items():
        yield Bind(path, f"{_FOLDER}/{key}.pem")
    chain = front_ca(topology)
    if topology.has("nginx") and chain is not None:
        # The folder holds links, so it is given whole; of its keys this container may read none.
        yield Bind(topology.layout.certs, f"{CONTAINER_CONFIG}/certs")


def _of_lets_encrypt(certificate: Certificate) -> bool:
    usual = Certificate.model_fields["directory"].default
    return certificate.source == "acme" and certificate.directory == usual and certificate.ca_file is None


def _named(topology: Topology) -> Mapping[str, Path]:
    """The CA files that the spec names, by what each is called in a container."""
    folder = topology.layout.spec_file.parent
    return {
        f"probe-{probe.name}": user_path(probe.ca_file, folder)
        for probe in topology.spec.monitoring.probes
        if probe.ca_file is not None
    }


def _seen(topology: Topology, key: str) -> Path:
    return topology.places.seen(_named(topology)[key], f"{_FOLDER}/{key}.pem")
