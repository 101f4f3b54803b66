"""keepalived: which of several machines has the address of the front."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from techsapo_ops.messages import msg
from techsapo_ops.stack.kind import LOOPBACK, Kind, Wanted
from techsapo_ops.stack.service import Probe, ServiceFacts

if TYPE_CHECKING:
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.container import Build, Container, Package
    from techsapo_ops.stack.desired import RenderedFile
    from techsapo_ops.stack.places import Places
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.templates import Templates
    from techsapo_ops.stack.topology import Topology

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
        from techsapo_ops.services.keepalived.configuration import keepalived_files

        return keepalived_files(topology, templates)

    def notes(self, topology: Topology) -> Iterable[str]:
        """That its router id is its alone."""
        if topology.has(self.name):
            yield msg(
                "{address} moves between the hosts by VRRP with router id {id}: nothing else in that network "
                "may have that id (swarm.router_id); a firewall has to let protocol 112 pass "
                "between them, and from nobody else",
                address=topology.spec.floating_address,
                id=topology.spec.swarm.router_id,
            )

    def container(self, topology: Topology, service: Service) -> Container:
        """keepalived with the rights to give the machine's interface an address, and no others."""
        from techsapo_ops.services.keepalived.configuration import READY, START
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
        from techsapo_ops.services.app.image import base_image
        from techsapo_ops.stack.container import Build

        text = templates.render("docker/keepalived.Dockerfile.j2", base=base_image(topology.spec))
        tag = hashlib.sha256(text.encode()).hexdigest()[:12]
        return Build("docker/keepalived/Dockerfile", text, f"techsapo/keepalived:{tag}", package.source)

    def built_from(self, spec: Spec) -> tuple[str, ...]:
        """A Debian: the one that the app's image is made from."""
        from techsapo_ops.services.app.image import base_image

        return (base_image(spec),)
