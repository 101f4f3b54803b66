"""What is done with Redis, and throwaway copies of it that load a backed-up dump."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from techsapo_ops.adapters import access_list, owners
from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.adapters.process import Command, SubprocessRunner
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.redis import logins
from techsapo_ops.services.redis.accounts import accounts_file
from techsapo_ops.services.redis.client import (
    CLIENT,
    door_to,
    entered_client,
    known_password,
    login_options,
    operators,
)
from techsapo_ops.services.runtime import (
    SCRATCH,
    Call,
    Place,
    Runtime,
    ThrowawayContainer,
    ThrowawayProgram,
    logged_in,
)
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.backup import Door
from techsapo_ops.stack.health import Role
from techsapo_ops.stack.kind import LOOPBACK, executable
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.service_facts import Probe
from techsapo_ops.stack.topology import Topology

if TYPE_CHECKING:
    from techsapo_ops.stack.stack import Stack


class RedisRuntime(Runtime):
    """It is asked with a login, where it has one, and its accounts are made here."""

    client = (CLIENT,)

    @override
    def call(self, stack: Stack, service: Service, words: Sequence[str], *, terminal: bool) -> Call:
        if words[0] != CLIENT:
            return super().call(stack, service, words, terminal=terminal)
        door = door_to(stack, service)
        client = Command((CLIENT, *door.options, *words[1:]), door.env, terminal=terminal)
        return logged_in(stack, service, client)

    @override
    def role_question(self, topology: Topology, service: Service) -> Command | None:
        # https://redis.io/docs/latest/commands/info/ has the answer's form.
        return entered_client(topology, service, "INFO", "replication")

    @override
    def role(self, topology: Topology, said: str) -> Role:
        # A master whom no replica follows takes no writes (min-replicas-to-write).
        found = dict(line.strip().split(":", 1) for line in said.splitlines() if ":" in line)
        if found.get("role") == "master":
            count = found.get("connected_slaves", "?")
            return Role(msg("master of {count} replicas", count=count), wrong=count == "0", sole=True)
        if found.get("role") != "slave":
            return Role()
        master = found.get("master_host", "?")
        host = {machine.address: machine.name for machine in topology.machines}.get(master, master)
        if found.get("master_link_status") == "up":
            return Role(msg("replica of {host}, in step", host=host), sole=False)
        return Role(msg("replica of {host}, without connection to it", host=host), wrong=True, sole=False)

    @override
    def question(self, topology: Topology) -> Command | None:
        password = known_password(topology)
        if password is None or topology.machines:  # each of several listens on its machine's address
            return None
        ping = ("redis-cli", "--no-auth-warning", *login_options(topology), "-e", "ping")
        return Command(ping, {"REDISCLI_AUTH": password.reveal()})

    @override
    def readable(self, topology: Topology) -> Iterable[Path]:
        return (accounts_file(topology.layout),)

    @override
    def before_steps(self, topology: Topology, door: Door | None) -> None:
        logins.before_steps(topology, door)

    @override
    def hand_over(self, topology: Topology, service: Service, doors: Callable[[Service], Door | None]) -> str:
        from techsapo_ops.services.redis.several import several
        from techsapo_ops.services.redis.switchover import switch

        def way_to(other: Service) -> Door:
            return operators(doors(other) or Door(SubprocessRunner(), _nowhere), topology, other)

        try:
            if several(topology, way_to).master == service:
                switch(topology, way_to)
        except OpsError as error:
            return error.message
        return ""

    @override
    def throwaway_program(self, service: Service, place: Place) -> ThrowawayProgram:
        password = Secret(secrets.token_hex(24))
        configuration = place.folder / "redis.conf"
        text = f"bind {LOOPBACK}\nport {place.port}\n{_throwaway('.', password)}"
        write_atomic(configuration, text.encode(), 0o600, owners.ids(service.user))
        argv = (executable(service), str(configuration))
        return ThrowawayProgram(argv, Probe("redis"), "default", password)

    @override
    def throwaway_container(self, service: Service, folder: Path) -> ThrowawayContainer:
        password = Secret(secrets.token_hex(24))
        configuration = folder / "redis.conf"
        text = f"bind {LOOPBACK}\n{_throwaway(SCRATCH, password)}"
        write_atomic(configuration, text.encode(), 0o600)
        access_list.let_read(configuration, [service.facts.uid])
        ping = Command(("redis-cli", "--no-auth-warning", "ping"), {"REDISCLI_AUTH": password.reveal()})
        return ThrowawayContainer(("redis-server", f"{SCRATCH}/redis.conf"), ping, "default", password)


def _nowhere(command: Command) -> Command:
    """The way into a container that does not run. Raises OpsError."""
    raise OpsError(msg("{program}: it has no container", program=command.program))


def _throwaway(folder: str, password: Secret) -> str:
    return f'save ""\nappendonly no\ndir {folder}\nrequirepass {password.reveal()}\n'


RUNTIME = RedisRuntime()
