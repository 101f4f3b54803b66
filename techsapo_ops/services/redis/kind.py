"""Redis: cache, budgets and limits that the app's instances share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from techsapo_ops.messages import msg
from techsapo_ops.stack.kind import LOOPBACK, Kind, Wanted, executable
from techsapo_ops.stack.service import Probe, ServiceFacts

if TYPE_CHECKING:
    from techsapo_ops.adapters.address import Address
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.container import Bind, Container
    from techsapo_ops.stack.desired import Program, RenderedFile
    from techsapo_ops.stack.places import Places
    from techsapo_ops.stack.secrets import KeptSecret
    from techsapo_ops.stack.service import Login, Service
    from techsapo_ops.stack.templates import Templates
    from techsapo_ops.stack.topology import Topology

_MEGABYTE = 1024**2


class Redis(Kind):
    """redis-server."""

    facts = ServiceFacts(
        kind="redis",
        title="Redis",
        binary="redis-server",
        package="redis-server",
        image="redis:8.4-alpine",
        port=6379,
        user="redis",
        uid=999,
        data=True,
        probe=Probe("redis"),
        on_machine=True,
    )
    networks = ("data",)
    reads = ("redis/",)
    retitled = ""  # its address stands there instead
    port_setting = "redis.port"
    scheme = "redis"
    data_files = ("appendonlydir", "dump.rdb")
    programs = ("redis-cli",)

    def instances(self, spec: Spec, places: Places) -> Iterable[Wanted]:  # noqa: ARG002 - Kind's signature
        """One, unless the spec turns it off."""
        if spec.redis.enabled:
            yield Wanted(self.name, spec.redis.host, spec.redis.port)

    def files(self, topology: Topology, templates: Templates) -> Iterable[RenderedFile]:
        """redis.conf."""
        from techsapo_ops.services.redis.configuration import redis_files

        return redis_files(topology, templates)

    def kept_secrets(self, topology: Topology) -> Iterable[KeptSecret]:
        """Those of its accounts, or the one that every client uses."""
        from techsapo_ops.services.redis.accounts import kept_secrets

        return kept_secrets(topology)

    def login(self, topology: Topology) -> Login:
        """The operator's, or what every client uses."""
        from techsapo_ops.services.redis.accounts import OPERATOR, accounts_made, password_file
        from techsapo_ops.stack.service import Login

        if accounts_made(topology):
            return Login(OPERATOR, None, password_file(topology.layout, OPERATOR), "NOAUTH")
        return Login(topology.spec.redis.user, topology.spec.redis.password)

    def notes(self, topology: Topology) -> Iterable[str]:
        """What is used in its place."""
        if not topology.has(self.name):
            why = "" if topology.spec.redis.enabled else msg(" (redis.enabled: false)")
            yield msg("cache: in each app's own memory, as there is no Redis{why}", why=why)

    def program(self, topology: Topology, service: Service) -> Program:
        """redis-server on its redis.conf."""
        from techsapo_ops.services.redis.configuration import REDIS_CONF
        from techsapo_ops.stack.desired import Program

        return Program(
            service.name,
            (executable(service), str(topology.config_dir() / REDIS_CONF)),
            topology.data_dir(service),
            user=service.user,
            stop_seconds=30,
            config=self.reads,
        )

    def container(self, topology: Topology, service: Service) -> Container:
        """The same, with memory for a snapshot."""
        from techsapo_ops.adapters.address import Address
        from techsapo_ops.services.redis.configuration import REDIS_CONF
        from techsapo_ops.spec.models.base import size_bytes
        from techsapo_ops.stack.container import Container

        # Twice the limit of the data: a snapshot may copy every page that is written meanwhile.
        memory = 2 * size_bytes(topology.spec.redis.maxmemory) // _MEGABYTE + 64
        return Container(
            command=("redis-server", str(topology.config_dir() / REDIS_CONF)),
            port=service.facts.port,
            healthcheck=ping(topology, Address(LOOPBACK, service.facts.port)),
            config=("redis",),
            binds=tuple(_own_binds(topology)),
            volume=service.facts.container_data,
            memory_mb=memory,
            stop_seconds=30,
        )


def ping(topology: Topology, at: Address) -> tuple[str, ...]:
    """What asks a Redis or a Sentinel in its container whether it is up.

    With a password, or an account, the answer is NOAUTH, which says it as well.
    """
    from techsapo_ops.services.redis.accounts import tls_options

    return ("redis-cli", "-h", at.host, "-p", str(at.port), *tls_options(topology), "ping")


def _own_binds(topology: Topology) -> Iterable[Bind]:
    from techsapo_ops.services.redis.accounts import ACCOUNTS_FOLDER, accounts_folder, accounts_made
    from techsapo_ops.stack.container import Bind
    from techsapo_ops.stack.places import CONTAINER_CONFIG

    if accounts_made(topology):
        yield Bind(accounts_folder(topology.layout), f"{CONTAINER_CONFIG}/{ACCOUNTS_FOLDER}")
