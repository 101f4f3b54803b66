"""nginx as the front of one of several machines, to which an address moves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from techsapo_ops.services.nginx.kind import Nginx

if TYPE_CHECKING:
    from techsapo_ops.stack.container import Container
    from techsapo_ops.stack.desired import RenderedFile
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.templates import Templates
    from techsapo_ops.stack.topology import Topology


class NginxMember(Nginx):
    """nginx, which lets the address leave before it stops."""

    def files(self, topology: Topology, templates: Templates) -> Iterable[RenderedFile]:
        """nginx.conf with the app of every machine behind it, and the script that starts nginx."""
        from techsapo_ops.services.nginx.balancing import start_file, upstream_of_machines
        from techsapo_ops.services.nginx.site import nginx_files

        upstream = upstream_of_machines(topology)
        return (*nginx_files(topology, templates, upstream), start_file(topology, templates))

    def container(self, topology: Topology, service: Service) -> Container:
        """The same, with time for the address to leave."""
        from techsapo_ops.services.nginx.balancing import (
            APP_SILENT,
            DRAIN_SECONDS,
            NO_RESOLVER,
            START,
            asks_names,
        )
        from techsapo_ops.stack.maintenance import seen_by

        alone = super().container(topology, service)
        return replace(
            alone,
            command=("nginx", *alone.command),
            binds=(*alone.binds, *seen_by(topology, self.name)),
            stop_seconds=alone.stop_seconds + DRAIN_SECONDS,
            stop_signal="TERM",
            extra={
                "entrypoint": ["/bin/sh", str(topology.config_dir() / START)],
                "sysctls": dict(APP_SILENT),
                **({} if asks_names(topology) else {"dns": [NO_RESOLVER]}),
            },
        )


MEMBER = NginxMember()
