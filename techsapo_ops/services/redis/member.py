"""Redis as one of several, on each machine one: a master and its replicas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from techsapo_ops.services.redis.kind import Redis, ping

if TYPE_CHECKING:
    from pathlib import Path

    from techsapo_ops.stack.container import Container
    from techsapo_ops.stack.desired import RenderedFile
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.templates import Templates
    from techsapo_ops.stack.topology import Topology


class RedisMember(Redis):
    """redis-server, started by the script that finds out whose replica it is."""

    def made_secrets(self, topology: Topology) -> Mapping[str, Path]:
        """What a replica logs in with at its master."""
        from techsapo_ops.services.redis.accounts import REPLICA, password_file

        file = password_file(topology.layout, REPLICA)
        return {file.name: file}

    def files(self, topology: Topology, templates: Templates) -> Iterable[RenderedFile]:
        """redis.conf, and the script."""
        from techsapo_ops.services.redis.kind import member_files

        return member_files(topology, templates)

    def container(self, topology: Topology, service: Service) -> Container:
        """The same at its machine's address."""
        from techsapo_ops.services.redis.kind import REDIS_START

        return replace(
            super().container(topology, service),
            command=("sh", str(topology.config_dir() / REDIS_START)),
            healthcheck=ping(topology, topology.listens(service)),
            environment=service.machine.labelled("TECHSAPO_ADDRESS", service.machine.address),
        )


MEMBER = RedisMember()
