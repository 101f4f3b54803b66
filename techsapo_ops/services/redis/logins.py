"""How a Redis that runs gets its accounts and loses the nameless one, without a client that is turned away.

On: the file of accounts lets everybody in, Redis starts anew on it, its clients one by one with a login, and
only then the nameless account goes: from the file first, then from the server. Off, the other way round:
the server lets everybody in before anything is started anew, and keeps its accounts until no client uses one.
Killed between two steps, the next apply asks the server what it accepts and goes on from there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from techsapo_ops.adapters import access_list, owners
from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.adapters.process import Completed
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.made_once import made_once
from techsapo_ops.services.redis.accounts import (
    APP,
    EXPORTER,
    NAMELESS,
    NAMELESS_OFF,
    NAMELESS_ON,
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
    users,
    users_file,
)
from techsapo_ops.services.redis.client import tls_options
from techsapo_ops.services.redis.exporter import redis_url
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.backup import Door
from techsapo_ops.stack.topology import Topology

_SECONDS = 15.0
_CLIENT = re.compile(r"\baddr=(\S+) .*\buser=(\S+)")


def before_steps(topology: Topology, door: Door | None) -> None:
    """Make the accounts, and let in who comes without one as long as the server does; see the module."""
    if not accounts_made(topology) and not _kept(topology):
        return
    # Several never let anybody in: they begin with accounts.
    nameless = door is not None and not topology.machines and _lets_everybody_in(topology, door)
    if accounts_made(topology):
        _make(topology)
        changed = _write(topology, nameless=nameless)
        operator = _operator(topology, door) if door is not None and changed and not nameless else None
        for each in _at_each(topology, operator) if operator is not None else ():
            if _lets_in(each):
                _set(each, [f"ACL SETUSER {line}" for line in _users(topology)])
        return
    if topology.spec.redis.password is None and door is not None and not nameless:
        operator = _operator(topology, door)
        if operator is not None and _lets_in(operator):
            _set(operator, [f"ACL SETUSER {NAMELESS_ON}"])


def started(topology: Topology, door: Door) -> None:
    """Give a server that is to have no accounts those back that clients still use."""
    if topology.spec.redis.password is None and not accounts_made(topology) and _kept(topology):
        _set(_nameless(topology, door), [f"ACL SETUSER {line}" for line in _users(topology)])


def after_steps(topology: Topology, door: Door, waits_for: Callable[[], Sequence[str]]) -> str:
    """Turn the nameless account off, or the others; what to tell of it."""
    if accounts_made(topology):
        return _close(topology, door, waits_for)
    if _kept(topology) and not waits_for():
        if topology.spec.redis.password is None:
            _set(_nameless(topology, door), [f"ACL DELUSER {' '.join(accounts_of(topology))}"])
        for account in accounts_of(topology):
            password_file(topology.layout, account).unlink(missing_ok=True)
        exporter_file(topology.layout).unlink(missing_ok=True)
        accounts_file(topology.layout).unlink(missing_ok=True)
    return ""


def _close(topology: Topology, door: Door, waits_for: Callable[[], Sequence[str]]) -> str:
    if topology.machines:
        return ""
    anybody = _nameless(topology, door)
    if not _lets_in(anybody):
        return ""
    if waiting := waits_for():
        names = ", ".join(waiting)
        none_yet = (
            msg("{name} has none yet", name=names)
            if len(waiting) == 1
            else msg("{names} have none yet", names=names)
        )
        return msg(
            "Redis still lets in clients without a login, since {none_yet}: `techsapo up` completes it",
            none_yet=none_yet,
        )
    operator = _operator(topology, door)
    assert operator is not None, "made by before_steps"  # noqa: S101 - a mistake of ours, no input
    # The file first: a server that starts anew in between must not let everybody in again.
    _write(topology, nameless=False)
    _set(operator, [f"ACL SETUSER {NAMELESS_OFF}"])
    left = [address for address, user in _clients(operator) if user == NAMELESS]
    if left:
        _set(operator, [f"CLIENT KILL USER {NAMELESS}"])
    if _lets_in(anybody):
        raise OpsError(
            msg("Redis still lets in clients without a login"),
            msg("`techsapo logs redis`, then `techsapo up`"),
        )
    if not left:
        return ""
    return msg(
        "Redis wants a login now; {count} connections without one were ended, from "
        "{left}{which}: `techsapo config secrets show redis-operator` has a password for what is "
        "yours",
        count=len(left),
        left=", ".join(left[:3]),
        which=" …" if len(left) > 3 else "",
    )


def _make(topology: Topology) -> None:
    layout = topology.layout
    of = {service.kind: service.user for service in topology.services}
    made_once(password_file(layout, OPERATOR), None)
    if topology.machines:
        made_once(password_file(layout, REPLICA), of.get("redis"))
        made_once(password_file(layout, SENTINEL), of.get("sentinel"))
    made_once(password_file(layout, APP), of.get("app"))
    password = made_once(password_file(layout, EXPORTER), None)
    owners.folder(accounts_folder(layout), 0o711)
    asked = (*topology.of_kind("redis"), *topology.of_kind("sentinel"))
    urls = [redis_url(topology, each, EXPORTER) for each in asked]
    text = json.dumps(dict.fromkeys(urls, password.reveal()), ensure_ascii=False)
    _keep(exporter_file(layout), text, of.get("redis-exporter"))


def _write(topology: Topology, *, nameless: bool) -> bool:
    """Write the file of accounts; whether it said anything else before."""
    service, path = topology.of_kind("redis")[0], accounts_file(topology.layout)
    changed = _keep(path, users_file(_users(topology), nameless=nameless), service.user)
    if changed and topology.places.from_images:
        access_list.let_read(path, [service.facts.uid])
    if topology.machines:
        owners.folder(sentinel_accounts_folder(topology.layout), 0o711)
        _keep(sentinel_accounts_file(topology.layout), sentinel_users(_passwords(topology)), None)
    return changed


def _keep(path: Path, text: str, user: str | None) -> bool:
    """Let `path` hold `text`, for `user` alone; whether it held anything else."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        owners.give(path, user)
        return False
    write_atomic(path, text.encode(), 0o600, owners.ids(user))
    return True


def _users(topology: Topology) -> tuple[str, ...]:
    return users(topology.spec.project, _passwords(topology))


def _passwords(topology: Topology) -> dict[str, str]:
    files = {account: password_file(topology.layout, account) for account in accounts_of(topology)}
    return {account: file.read_text(encoding="utf-8").strip() for account, file in files.items()}


def _kept(topology: Topology) -> bool:
    """Whether there are accounts from when the stack had them."""
    return all(password_file(topology.layout, account).exists() for account in accounts_of(topology))


def _nameless(topology: Topology, door: Door) -> Door:
    address = topology.address(topology.of_kind("redis")[0], Viewpoint.WITHIN)
    options = ("-h", address.host, "-p", str(address.port), *tls_options(topology))
    return replace(door, options=options, env={"REDISCLI_AUTH": ""})


def _at_each(topology: Topology, operator: Door) -> list[Door]:
    """The operator's way to every Redis, from the container of one."""
    if not topology.machines:
        return [operator]
    addresses = [topology.address(each, Viewpoint.SERVICE) for each in topology.of_kind("redis")]
    return [
        replace(operator, options=(*operator.options, "-h", at.host, "-p", str(at.port))) for at in addresses
    ]


def _operator(topology: Topology, door: Door) -> Door | None:
    if not _kept(topology):
        return None
    password = password_file(topology.layout, OPERATOR).read_text(encoding="utf-8").strip()
    anybody = _nameless(topology, door)
    options = ("--no-auth-warning", *anybody.options, "--user", OPERATOR)
    return replace(anybody, options=options, env={"REDISCLI_AUTH": password})


def _lets_everybody_in(topology: Topology, door: Door) -> bool:
    """What the server does now; of one that hangs, which its probe tells of, what its file says."""
    try:
        return _lets_in(_nameless(topology, door))
    except OpsError:
        path = accounts_file(topology.layout)
        return path.exists() and users_file((), nameless=True) in path.read_text(encoding="utf-8")


def _lets_in(door: Door) -> bool:
    return _said(door.run("redis-cli", "PING", timeout=_SECONDS)) == ["PONG"]


def _set(door: Door, commands: Sequence[str]) -> None:
    """Run commands, which hold digests in place of passwords. Raises OpsError for one that is refused."""
    script = "".join(f"{command}\n" for command in commands).encode()
    said = _said(door.run("redis-cli", stdin=script, timeout=_SECONDS))
    refused = [line for line in said if line != "OK" and not line.isdigit()]
    if refused or len(said) != len(commands):
        raise OpsError(
            msg(
                "Redis can't be given its accounts: {refused}",
                refused=" ".join(refused) or msg("it does not answer"),
            ),
            msg("`techsapo logs redis` tells why; it has to be Redis 7 or newer"),
        )


def _clients(door: Door) -> list[tuple[str, str]]:
    """Address and account of each client."""
    lines = _said(door.run("redis-cli", "CLIENT", "LIST", timeout=_SECONDS))
    return [(found[1], found[2]) for line in lines if (found := _CLIENT.search(line))]


def _said(done: Completed) -> list[str]:
    return [line for line in done.stdout.decode(errors="replace").splitlines() if line]
