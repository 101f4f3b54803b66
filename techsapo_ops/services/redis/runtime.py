"""What is done with Redis, and throwaway copies of it that load a backed-up dump.

It gets its accounts by a file that it reads at its start, and by commands where it runs.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from techsapo_ops.adapters import owners
from techsapo_ops.adapters.files import let_read, write_atomic
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.exporters import redis_url
from techsapo_ops.services.made_secrets import keep, made_once
from techsapo_ops.services.redis.accounts import (
    APP,
    EXPORTER,
    OPERATOR,
    REPLICA,
    SENTINEL,
    accounts_file,
    accounts_folder,
    accounts_made,
    accounts_of,
    exporter_file,
    password_file,
    sentinel_accounts_file,
    sentinel_accounts_folder,
    sentinel_users,
    tls_options,
    users,
    users_file,
)
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
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.backup import Door
from techsapo_ops.stack.kind import LOOPBACK, executable
from techsapo_ops.stack.service import Probe, Service
from techsapo_ops.stack.topology import Topology

if TYPE_CHECKING:
    from techsapo_ops.stack.stack import Stack


_SECONDS = 15.0


def before_steps(topology: Topology, door: Door | None) -> None:
    """Make the accounts; where the servers run with them already, give them those that changed.

    A stack whose login changes has Redis started anew with the others, one after another: until its turn
    comes, a client with the login of before is refused.
    """
    if not accounts_made(topology):
        return
    _make_accounts(topology)
    if not _write_accounts(topology) or door is None:
        return
    for each in _at_each(topology, door):
        # To a greeting by TLS a server without it says nothing. It is started anew, and reads the file then.
        if topology.spec.redis.tls and _answers_plain(each):
            continue
        if _said(each.run("redis-cli", "PING", timeout=_SECONDS)) == ["PONG"]:
            _set_accounts(each, [f"ACL SETUSER {line}" for line in _users(topology)])


def _make_accounts(topology: Topology) -> None:
    layout = topology.layout
    of = {service.kind: service.user for service in topology.services}
    reads = {REPLICA: "redis", SENTINEL: "sentinel", APP: "app"}
    for account in accounts_of(topology):
        made_once(password_file(layout, account), of.get(reads.get(account, "")))
    password = _passwords(topology)[EXPORTER]
    owners.folder(accounts_folder(layout), 0o711)
    asked = (*topology.of_kind("redis"), *topology.of_kind("sentinel"))
    urls = [redis_url(topology, each, EXPORTER) for each in asked]
    text = json.dumps(dict.fromkeys(urls, password), ensure_ascii=False)
    keep(exporter_file(layout), text, of.get("redis-exporter"))


def _write_accounts(topology: Topology) -> bool:
    """Write the file of accounts; whether it said anything else before."""
    service, path = topology.of_kind("redis")[0], accounts_file(topology.layout)
    changed = keep(path, users_file(_users(topology)), service.user)
    if changed and topology.places.from_images:
        let_read(path, [service.facts.uid])
    if SENTINEL in accounts_of(topology):
        owners.folder(sentinel_accounts_folder(topology.layout), 0o711)
        keep(sentinel_accounts_file(topology.layout), sentinel_users(_passwords(topology)), None)
    return changed


def _users(topology: Topology) -> tuple[str, ...]:
    return users(topology.spec.project, _passwords(topology))


def _passwords(topology: Topology) -> dict[str, str]:
    files = {account: password_file(topology.layout, account) for account in accounts_of(topology)}
    return {account: file.read_text(encoding="utf-8").strip() for account, file in files.items()}


def _at_each(topology: Topology, door: Door) -> list[Door]:
    """The operator's way to every Redis, from the container of one."""
    servers = topology.of_kind("redis")
    view = Viewpoint.SERVICE if len(servers) > 1 else Viewpoint.WITHIN
    addresses = [topology.address(each, view) for each in servers]
    login = ("--no-auth-warning", *tls_options(topology), "--user", OPERATOR)
    env = {"REDISCLI_AUTH": _passwords(topology)[OPERATOR]}
    return [replace(door, options=("-h", at.host, "-p", str(at.port), *login), env=env) for at in addresses]


def _answers_plain(door: Door) -> bool:
    """Whether the Redis speaks no TLS yet; who has it ends a connection that begins otherwise."""
    plain = replace(door, options=door.options[:4], env={})  # no password goes over it
    return plain.run("redis-cli", "PING", timeout=_SECONDS).code == 0


def _set_accounts(door: Door, commands: Sequence[str]) -> None:
    """Run commands, which hold digests in place of passwords. Raises OpsError for one that is refused."""
    script = "".join(f"{command}\n" for command in commands).encode()
    said = _said(door.run("redis-cli", stdin=script, timeout=_SECONDS))
    refused = [line for line in said if line != "OK" and not line.isdigit()]
    if refused or len(said) != len(commands):
        raise OpsError(
            msg(
                "can't set the accounts of Redis: {refused}",
                refused=" ".join(refused) or msg("no answer"),
            ),
            msg("`techsapo logs redis` shows why; Redis 7 or newer is required"),
        )


def _said(done: Completed) -> list[str]:
    return [line for line in done.stdout.decode(errors="replace").splitlines() if line]


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
        before_steps(topology, door)

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
