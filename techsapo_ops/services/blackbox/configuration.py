"""What the blackbox exporter asks: its modules (how), and the targets of Prometheus's job (what).

The stack's own front is asked where this host reaches it, under the name that its users call it by. So DNS
and the way from the outside are not seen; status, certificate, nginx and the app are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from techsapo_ops.adapters.address import Address
from techsapo_ops.catalogue.alerts import PAGE
from techsapo_ops.services.blackbox.trust import front_ca, target_ca
from techsapo_ops.services.nginx.limits import COMPOSE_TLS_PORT
from techsapo_ops.spec.front_door import outside_name
from techsapo_ops.spec.models.monitoring import ProbeTarget
from techsapo_ops.spec.ports import RAFT
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.service import HERE, Machine, Service
from techsapo_ops.stack.templates import Templates
from techsapo_ops.stack.topology import Topology

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
