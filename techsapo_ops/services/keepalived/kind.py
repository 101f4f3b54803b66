"""keepalived: which of several machines has the address of the front.

VRRP is RFC 9568 (version 3); the words of keepalived.conf are those of keepalived 2.3 (keepalived.conf(5)).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from techsapo_ops.adapters.address import Address
from techsapo_ops.messages import msg
from techsapo_ops.spec.ports import RAFT
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.kind import LOOPBACK, Kind, Wanted
from techsapo_ops.stack.places import CONTAINER_CONFIG
from techsapo_ops.stack.service import Machine, Probe, ServiceFacts

if TYPE_CHECKING:
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.container import Build, Container, Package
    from techsapo_ops.stack.places import Places
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.templates import Templates
    from techsapo_ops.stack.topology import Topology


KEEPALIVED_CONF = "keepalived/{folder}/keepalived.conf"
CHECK = "keepalived/{folder}/check.sh"
START = "keepalived/{folder}/start.sh"
NOTIFY = "keepalived/notify.sh"
READY = "keepalived/ready.sh"
RUN = "/run/keepalived"
"""Folder in its container in which it notes its pids and its state."""
ADVERT_SECONDS = 0.3
"""Between two signs of life: the others wait for three of them, and a moment more."""
CHECK_SECONDS = 0.5
NGINX_SECONDS = 1.0
PEER_SECONDS = 0.3
"""For an answer of another machine's kernel, in the same network segment."""
_FIRST, _LAST = 200, 100
_SCRIPT = 0o555
STOP_SECONDS = 5
"""It tells the others that it goes, and they need no longer wait for it."""
CAPABILITIES = ("NET_ADMIN", "NET_BROADCAST", "NET_RAW", "SETGID")
"""What root may do in its container: move an address; it insists on setting its scripts' groups, too."""


class Keepalived(Kind):
    """keepalived, on each of several machines that share an address."""

    facts = ServiceFacts(
        kind="keepalived",
        title="keepalived",
        image="techsapo/keepalived:local",
        # It listens on no port: VRRP is a protocol of its own, number 112 beside TCP and UDP.
        port=0,
        user="root",
        uid=0,
        # Asked by the health check of its container, as all that is not published is.
        probe=Probe("tcp"),
        needs=("nginx",),
        on_machine=True,
    )
    reads = ("keepalived/",)
    vital = True
    between_machines = True

    def instances(self, spec: Spec, places: Places) -> Iterable[Wanted]:  # noqa: ARG002 - Kind's signature
        """One, where several machines share an address."""
        if spec.floating_address is not None:
            yield Wanted(self.name, LOOPBACK, 0)

    def ports(self, topology: Topology, service: Service) -> Sequence[tuple[int, int]]:  # noqa: ARG002 - none
        """None."""
        return ()

    def files(self, topology: Topology, templates: Templates) -> Iterable[RenderedFile]:
        """Its configuration and scripts, for each machine."""
        return keepalived_files(topology, templates)

    def notes(self, topology: Topology) -> Iterable[str]:
        """That its router id is its alone."""
        if topology.has(self.name):
            yield msg(
                "{address} moves between the hosts by VRRP with router id {id}: nothing else on that "
                "network may use this id (swarm.router_id); a firewall must allow IP protocol 112 "
                "between the hosts, and from nowhere else",
                address=topology.spec.floating_address,
                id=topology.spec.swarm.router_id,
            )

    def container(self, topology: Topology, service: Service) -> Container:
        """keepalived with the rights to give the machine's interface an address, and no others."""
        from techsapo_ops.stack.container import Container

        folder = topology.config_dir()
        return Container(
            command=(str(folder / START.format(folder=service.machine.own_folder)),),
            port=0,
            healthcheck=(str(folder / READY),),
            config=("keepalived",),
            # Where it can write nothing into /run itself, it takes itself for running already, and ends.
            tmpfs=("/tmp", "/run"),  # noqa: S108 - the container's own
            memory_mb=64,
            pids=64,
            stop_seconds=STOP_SECONDS,
            extra={
                "entrypoint": ["/bin/sh"],
                # Its scripts' own children would be left to it, which does not wait for them.
                "init": True,
                "cap_add": list(CAPABILITIES),
            },
        )

    def build(self, topology: Topology, templates: Templates, package: Package) -> Build:
        """Debian's keepalived: there is no official image. It holds nothing of this package."""
        from techsapo_ops.services.app.kind import base_image
        from techsapo_ops.stack.container import Build

        text = templates.render("docker/keepalived.Dockerfile.j2", base=base_image(topology.spec))
        tag = hashlib.sha256(text.encode()).hexdigest()[:12]
        return Build("docker/keepalived/Dockerfile", text, f"techsapo/keepalived:{tag}", package.source)

    def built_from(self, spec: Spec) -> tuple[str, ...]:
        """A Debian: the one that the app's image is made from."""
        from techsapo_ops.services.app.kind import base_image

        return (base_image(spec),)


def keepalived_files(topology: Topology, templates: Templates) -> tuple[RenderedFile, ...]:
    """The configuration and the scripts of each machine's keepalived."""
    machines = [service.machine for service in topology.of_kind("keepalived")]
    common = {"folder": f"{CONTAINER_CONFIG}/keepalived", "run": RUN}
    scripts = [
        RenderedFile(path, templates.render(f"{path}.j2", **common), mode=_SCRIPT) for path in (NOTIFY, READY)
    ]
    for place, machine in enumerate(machines):
        values = {
            **common,
            **_values(topology, machines, machine),
            "priority": priority(place, len(machines)),
        }
        for path, mode in ((KEEPALIVED_CONF, 0o444), (CHECK, _SCRIPT), (START, _SCRIPT)):
            template = f"{path.replace('{folder}/', '')}.j2"
            content = templates.render(template, **values)
            scripts.append(RenderedFile(path.format(folder=machine.own_folder), content, mode=mode))
    return tuple(scripts)


def priority(place: int, machines: int) -> int:
    """Of the machine at `place`: 200 for the first one, 100 for the last.

    Far apart, since a machine waits for the longer the lower its priority is: by 60 ms at three of them.
    """
    return _FIRST - (_FIRST - _LAST) * place // max(machines - 1, 1)


def check_timeout(machines: int) -> float:
    """Seconds that one run of the check may take: as long as all it asks together, and a little more."""
    return round(NGINX_SECONDS + PEER_SECONDS * (machines - 1) + 0.5, 1)


def _values(topology: Topology, machines: list[Machine], own: Machine) -> dict[str, object]:
    from techsapo_ops.services.nginx.balancing import FRONT_LOCATION

    spec = topology.spec
    return {
        "machine": own.name,
        "own": f"{CONTAINER_CONFIG}/keepalived/{own.own_folder}",
        "address": own.address,
        "peers": [machine.address for machine in machines if machine != own],
        "floating": spec.floating_address,
        "router_id": spec.swarm.router_id,
        "advert": ADVERT_SECONDS,
        "interval": CHECK_SECONDS,
        "timeout": check_timeout(len(machines)),
        "nginx_seconds": NGINX_SECONDS,
        "peer_seconds": PEER_SECONDS,
        "swarm_port": RAFT,  # between the machines a firewall lets it pass
        "front": Address(own.address, spec.nginx.listen).url(FRONT_LOCATION),
    }
