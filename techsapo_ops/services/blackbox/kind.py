"""The blackbox exporter: asks the stack's front as its users do, and what else the spec names.

Its modules say how, the targets of Prometheus's job what. The stack's own front is asked where this host
reaches it, under the name that its users call it by. So DNS and the way from the outside are not seen;
status, certificate, nginx and the app are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from typing_extensions import override

from techsapo_ops.adapters.address import Address
from techsapo_ops.messages import msg
from techsapo_ops.services.exporters import Exporter, exporter_facts
from techsapo_ops.services.nginx.balancing import COMPOSE_TLS_PORT
from techsapo_ops.spec.ports import RAFT
from techsapo_ops.spec.user_path import user_path
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.places import CONTAINER_CONFIG
from techsapo_ops.stack.service import HERE, Machine, Tool

if TYPE_CHECKING:
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.spec.models.monitoring import ProbeTarget
    from techsapo_ops.spec.models.servers import Certificate
    from techsapo_ops.stack.container import Bind, Container
    from techsapo_ops.stack.kind import Wanted
    from techsapo_ops.stack.places import Places
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.templates import Templates
    from techsapo_ops.stack.topology import Topology


_CA_FOLDER = f"{CONTAINER_CONFIG}/blackbox-ca"
"""Of the CA certificates by which the exporter knows those that it asks."""
BLACKBOX_YML = "blackbox/blackbox.yml"
JOB = "techsapo-probes"
"""Name of the scrape job: what it finds are series of what was asked, not of the exporter."""
MACHINE = "machine"
"""Scope of what is asked of each of several machines by the others, to tell which of them is away."""
MANAGER = "manager"
"""Name, with the machine's behind it, of the manager of Docker Swarm on a machine."""
_FRONT = "front"
_CONNECTS = "connects"
_CONNECTED: dict[str, Any] = {"prober": "tcp", "tcp": {"preferred_ip_protocol": "ip4"}}
_ASKED = "/ping"
"""Answered by the app to anybody, whatever it may be doing; no request of a user's, and counted as none."""


class BlackboxExporter(Exporter):
    """prometheus-blackbox-exporter, wherever there is a Prometheus."""

    # The image's own user is root, who alone may ping; nothing here does.
    facts = replace(
        exporter_facts(
            "blackbox-exporter",
            msg("blackbox exporter"),
            "prom/blackbox-exporter:v0.27.0",
            9115,
            path="/-/healthy",
        ),
        reload="HUP",
    )
    monitors = True
    networks = ("edge", "metrics")
    # No reload in a container: from the host nobody could ask it whether it took its configuration over.
    reads = ("blackbox/",)
    port_setting = "monitoring.exporters.blackbox"
    validator = Tool(
        "prometheus-blackbox-exporter",
        "prometheus-blackbox-exporter",
        msg("checks the generated blackbox.yml"),
        in_image="blackbox_exporter",
    )

    @override
    def instances(self, spec: Spec, places: Places) -> Iterable[Wanted]:
        return super().instances(spec, places) if spec.monitoring.is_probed else ()

    @override
    def files(self, topology: Topology, templates: Templates) -> Iterable[RenderedFile]:
        return blackbox_files(topology, templates)

    @override
    def arguments(self, topology: Topology, service: Service) -> tuple[str, ...]:
        # Its log names the probes that failed and why; each of the others would be nine lines there.
        return (
            f"--config.file={topology.config_dir() / BLACKBOX_YML}",
            "--history.limit=20",
            "--log.prober=error",
        )

    @override
    def container(self, topology: Topology, service: Service) -> Container:
        """The same, with the certificates that it is to know."""
        alone = super().container(topology, service)
        return replace(alone, config=("blackbox",), binds=tuple(binds(topology)))


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
    from techsapo_ops.stack.container import Bind

    for key, path in _named(topology).items():
        yield Bind(path, f"{_CA_FOLDER}/{key}.pem")
    chain = front_ca(topology)
    if topology.has("nginx") and chain is not None:
        # The folder holds links, so it is given whole; of its keys this container may read none.
        yield Bind(topology.layout.certs, f"{CONTAINER_CONFIG}/certs")


def _of_lets_encrypt(certificate: Certificate) -> bool:
    usual = type(certificate).model_fields["directory"].default
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
    return topology.places.seen(_named(topology)[key], f"{_CA_FOLDER}/{key}.pem")


@dataclass(frozen=True, slots=True)
class Asked:
    """One target: what it is called, whether it is the stack's `front` or a `target` of the spec."""

    name: str
    scope: str
    url: str
    module: str
    how: dict[str, Any]
    asked: Mapping[str, str] = field(default_factory=dict)
    """Labels that tell which of several machines is asked, or by which address that moves between them."""
    page: bool = False
    """Whether it wakes people that it does not answer."""


def asked(topology: Topology) -> tuple[Asked, ...]:
    """All that is asked; nothing where the stack has no blackbox exporter."""
    if not topology.has("blackbox-exporter"):
        return ()
    targets = (_target(topology, probe) for probe in topology.spec.monitoring.probes)
    return (*_front(topology), *_on_machines(topology), *targets)


def blackbox_files(topology: Topology, templates: Templates) -> tuple[RenderedFile, ...]:
    """blackbox/blackbox.yml, or nothing where the stack has no blackbox exporter."""
    if not topology.has("blackbox-exporter"):
        return ()
    modules = {each.module: each.how for each in asked(topology)}
    return (RenderedFile(BLACKBOX_YML, templates.render("blackbox/blackbox.yml.j2", modules=modules)),)


def scrape_targets(topology: Topology) -> list[dict[str, Any]]:
    """The targets of Prometheus's job, each the exporter itself with what it is to ask in its parameters."""
    from techsapo_ops.catalogue.alerts import PAGE

    exporters = topology.of_kind("blackbox-exporter")
    return [
        {
            "address": str(topology.address(exporter, Viewpoint.SERVICE)),
            "instance": each.name,
            "labels": {
                "name": each.name,
                "scope": each.scope,
                **exporter.machine.labelled("from", exporter.machine.name),
                **each.asked,
                **({PAGE: "true"} if each.page else {}),
                "__param_module": each.module,
                "__param_target": each.url,
            },
        }
        for exporter in exporters
        for each in asked(topology)
        if exporter.machine.name != each.asked.get("to")  # another one says whether it is reached
    ]


def _front(topology: Topology) -> Iterator[Asked]:

    from techsapo_ops.spec.front_door import outside_name

    name = outside_name(topology.spec)
    nginx = topology.of_kind("nginx")
    tls = bool(nginx) and topology.spec.served_certificate is not None
    how = _page([200], follow=False, host=name or "localhost")
    if tls:
        how["http"]["fail_if_not_ssl"] = True
        how["http"]["tls_config"] = _trusted(name, str(front_ca(topology) or ""))
    scheme = "https" if tls else "http"
    floating = topology.spec.floating_address
    if nginx and floating is not None:
        # What users ask. Each machine is asked besides, but of those that are left one is enough.
        at = Address(floating.partition("/")[0], _outside_port(topology, nginx[0], tls=tls))
        yield Asked(nginx[0].kind, "front", at.url(_ASKED, scheme=scheme), _FRONT, how, {"address": at.host})
    for service in nginx or topology.of_kind("app"):
        if nginx and service.machine != HERE:
            host = topology.address(service, Viewpoint.HOST).host
            at = Address(host, _outside_port(topology, service, tls=tls))
        else:
            at = _tls_address(topology, service) if tls else topology.address(service, Viewpoint.SERVICE)
        scope = MACHINE if floating is not None else "front"
        yield Asked(service.name, scope, at.url(_ASKED, scheme=scheme), _FRONT, how, _labels(service.machine))


def _labels(machine: Machine) -> Mapping[str, str]:
    return {**machine.labelled("to", machine.name), **machine.labelled("host", machine.name)}


def _outside_port(topology: Topology, nginx: Service, *, tls: bool) -> int:
    return topology.spec.nginx.tls_listen if tls else nginx.port


def _tls_address(topology: Topology, nginx: Service) -> Address:
    port = topology.places.bound(topology.spec.nginx.tls_listen, COMPOSE_TLS_PORT)
    return Address(topology.address(nginx, Viewpoint.SERVICE).host, port)


def _on_machines(topology: Topology) -> Iterator[Asked]:
    """Whether Swarm's manager, and what keeps data on the machines' own network, take connections of others.

    Not MariaDB, which is on the containers': it counts who connects and says nothing, and then refuses
    whoever shares the address (https://mariadb.com/docs/server/server-management/variables-and-modes/
    server-system-variables#max_connect_errors).
    """
    for machine in topology.machines:
        ports = {MANAGER: RAFT}
        ports |= {s.kind: s.port for s in topology.on(machine.name) if s.facts.on_machine and s.facts.data}
        for what, port in ports.items():
            address = str(Address(machine.address, port))
            yield Asked(f"{what}-{machine.name}", MACHINE, address, _CONNECTS, _CONNECTED, _labels(machine))


def _target(topology: Topology, probe: ProbeTarget) -> Asked:
    ca = "" if probe.ca_file is None else str(target_ca(topology, probe.name))
    asked, module = urlsplit(probe.url), f"probe-{probe.name}"
    if asked.scheme in {"tcp", "tls"}:
        tcp: dict[str, Any] = {"preferred_ip_protocol": "ip4"}
        if asked.scheme == "tls":
            # Without a name, the host of the target is checked.
            tcp |= {"tls": True, "tls_config": _trusted(probe.server_name or asked.hostname, ca)}
        how: dict[str, Any] = {"prober": "tcp", "tcp": tcp}
        return Asked(probe.name, "target", asked.netloc, module, how, page=probe.page)
    follow = not any(300 <= status < 400 for status in probe.status)
    how = _page([*probe.status], follow=follow, host=probe.server_name)
    if ca or probe.server_name:
        how["http"]["tls_config"] = _trusted(probe.server_name or asked.hostname, ca)
    return Asked(probe.name, "target", probe.url, module, how, page=probe.page)


def _page(statuses: list[int], *, follow: bool, host: str | None) -> dict[str, Any]:
    page: dict[str, Any] = {"preferred_ip_protocol": "ip4", "follow_redirects": follow}
    if statuses:
        page["valid_status_codes"] = statuses
    if host is not None:
        page["headers"] = {"Host": host}
    return {"prober": "http", "http": page}


def _trusted(name: str | None, ca: str) -> dict[str, Any]:
    """How a certificate is judged: for `name`, by the authorities in `ca` or the system's."""
    if name is None:
        # Nobody says by which name it is called, so there is none to check it for.
        return {"insecure_skip_verify": True}
    return {"server_name": name, **({"ca_file": ca} if ca else {})}
