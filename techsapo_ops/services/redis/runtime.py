"""What is done with Redis, and throwaway copies of it that load a backed-up dump."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from techsapo_ops.adapters import owners
from techsapo_ops.adapters.files import let_read, write_atomic
from techsapo_ops.adapters.process import Command
from techsapo_ops.services.redis import logins
from techsapo_ops.services.redis.accounts import accounts_file
from techsapo_ops.services.redis.client import CLIENT, door_to, known_password, login_options
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
from techsapo_ops.stack.kind import LOOPBACK, executable
from techsapo_ops.stack.service import Probe, Service
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
    def question(self, topology: Topology) -> Command | None:
        password = known_password(topology)
        if password is None:
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
        let_read(configuration, [service.facts.uid])
        ping = Command(("redis-cli", "--no-auth-warning", "ping"), {"REDISCLI_AUTH": password.reveal()})
        return ThrowawayContainer(("redis-server", f"{SCRATCH}/redis.conf"), ping, "default", password)


def _throwaway(folder: str, password: Secret) -> str:
    return f'save ""\nappendonly no\ndir {folder}\nrequirepass {password.reveal()}\n'


RUNTIME = RedisRuntime()
