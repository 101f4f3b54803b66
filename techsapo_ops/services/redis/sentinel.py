"""Sentinel: the servers that watch several Redis, and make another one the master where that is lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from techsapo_ops.services.redis.kind import Redis, ping
from techsapo_ops.spec.ports import SENTINEL
from techsapo_ops.stack.kind import Kind, Wanted

if TYPE_CHECKING:
    from pathlib import Path

    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.container import Container
    from techsapo_ops.stack.desired import RenderedFile
    from techsapo_ops.stack.places import Places
    from techsapo_ops.stack.service import Login, Service
    from techsapo_ops.stack.templates import Templates
    from techsapo_ops.stack.topology import Topology


class Sentinel(Kind):
    """redis-server --sentinel, beside each of several Redis; where there is one, there is none."""

    # The same image, and it asks and answers as a Redis does; natively there is none.
    facts = replace(Redis.facts, kind="sentinel", title="Sentinel", binary=None, package=None, port=SENTINEL)
    networks = Redis.networks
    reads = ("sentinel/",)
    between_machines = True
    scheme = Redis.scheme

    def instances(self, spec: Spec, places: Places) -> Iterable[Wanted]:  # noqa: ARG002 - Kind's signature
        """One, on each of several machines."""
        if spec.redis.enabled:
            yield Wanted(self.name, spec.redis.host, self.facts.port)

    def files(self, topology: Topology, templates: Templates) -> Iterable[RenderedFile]:
        """sentinel.conf as it begins, and what starts it."""
        from techsapo_ops.services.redis.sentinel_configuration import sentinel_files

        return sentinel_files(topology, templates)

    def made_secrets(self, topology: Topology) -> Mapping[str, Path]:
        """What it logs in with, at Redis and at the other Sentinels."""
        from techsapo_ops.services.redis.accounts import SENTINEL, password_file

        file = password_file(topology.layout, SENTINEL)
        return {file.name: file}

    def login(self, topology: Topology) -> Login:
        """The operator's."""
        from techsapo_ops.services.redis.accounts import OPERATOR, password_file
        from techsapo_ops.stack.service import Login

        return Login(OPERATOR, None, password_file(topology.layout, OPERATOR), "NOAUTH")

    def container(self, topology: Topology, service: Service) -> Container:
        """Its start script, which makes the file that Sentinel goes on to write itself."""
        from techsapo_ops.services.redis.accounts import sentinel_accounts_folder
        from techsapo_ops.services.redis.sentinel_configuration import START
        from techsapo_ops.stack.container import Bind, Container
        from techsapo_ops.stack.places import CONTAINER_CONFIG

        folder = sentinel_accounts_folder(topology.layout)
        return Container(
            command=("sh", str(topology.config_dir() / START)),
            port=service.facts.port,
            healthcheck=ping(topology, topology.listens(service)),
            environment=service.machine.labelled("TECHSAPO_ADDRESS", service.machine.address),
            config=("sentinel",),
            binds=(Bind(folder, f"{CONTAINER_CONFIG}/{folder.name}"),),
            volume=service.facts.container_data,
            memory_mb=64,
        )
