"""The accounts of a Redis whose passwords the tool makes: who has one, what each may do, where they are kept.

Redis reads them from a file of its own, in which a digest stands for each password.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.messages import msg
from techsapo_ops.spec.store_access import GIVEN, MADE, redis_login
from techsapo_ops.stack.secrets import StoredSecret

if TYPE_CHECKING:
    from techsapo_ops.stack.layout import Layout
    from techsapo_ops.stack.topology import Topology

APP = "techsapo"
EXPORTER = "techsapo_exporter"
OPERATOR = "techsapo_operator"
"""Backups, restores, health and whoever runs `techsapo`."""
REPLICA = "techsapo_replica"
"""A Redis at its master, and at the Sentinels, of which it asks who that is."""
SENTINEL = "techsapo_sentinel"
"""A Sentinel at each Redis and at the other Sentinels."""
APP_SECRET = "redis-password"  # noqa: S105 - a file's name
"""The secret under whose name the app's container gets its password, as one that the spec has."""
ACCOUNTS_FOLDER = "redis-accounts"
_EXPORTERS = (
    "+ping +info +config|get +slowlog|len +slowlog|get +latency|latest +latency|histogram "
    "+client|setname +select"
)
# https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/#redis-access-control-list-authentication
# and .../replication/#setting-a-replica-to-authenticate-to-a-master, read on 2026-11-27; `info` tells a Redis
# that is about to start whether another one has its data.
_REPLICAS = "+psync +replconf +ping +info"
_SENTINELS = (
    "+multi +slaveof +ping +exec +subscribe +config|rewrite +role +publish +info +client|setname "
    "+client|kill +script|kill"
)
_ASKS_WHO = "+auth +hello +ping +client|setname +client|setinfo +sentinel|master +sentinel|masters"
_AT_SENTINELS = {
    APP: f"resetchannels -@all {_ASKS_WHO} +sentinel|get-master-addr-by-name",
    REPLICA: f"resetchannels -@all {_ASKS_WHO}",
    SENTINEL: f"allchannels -@all {_ASKS_WHO} +publish +subscribe +sentinel|is-master-down-by-addr",
    # What redis_exporter asks; of a command that Sentinel does not know its list may not speak.
    EXPORTER: (
        f"resetchannels -@all {_ASKS_WHO} +info +sentinel|sentinels +sentinel|slaves +sentinel|replicas "
        "+sentinel|ckquorum"
    ),
    OPERATOR: "~* &* +@all",
}


def accounts_made(topology: Topology) -> bool:
    """Whether clients log in by accounts whose passwords the tool makes."""
    return redis_login(topology.spec) == MADE and topology.has("redis")


def password_file(layout: Layout, account: str) -> Path:
    """The password of an account; made at the first start."""
    return layout.keys / f"redis-{account.removeprefix(APP).lstrip('_') or 'app'}-password"


def exporter_file(layout: Layout) -> Path:
    """The exporter's password in the form that it reads."""
    return layout.keys / "redis-exporter.json"


def accounts_folder(layout: Layout) -> Path:
    """Folder of the file below, alone: a container is given it."""
    return layout.keys / ACCOUNTS_FOLDER


def accounts_file(layout: Layout) -> Path:
    """The accounts, as Redis reads them at its start."""
    return accounts_folder(layout) / "users.acl"


def accounts_of(topology: Topology) -> tuple[str, ...]:
    """The accounts that a Redis has: where Sentinels watch it those of replicas and Sentinels too."""
    further = (REPLICA, SENTINEL) if topology.has("sentinel") else ()
    return (APP, EXPORTER, OPERATOR, *further)


def sentinel_accounts_folder(layout: Layout) -> Path:
    """Folder of the file below, alone: a container is given it."""
    return layout.keys / "sentinel-accounts"


def sentinel_accounts_file(layout: Layout) -> Path:
    """The accounts at the Sentinels, as these read them at their start."""
    return sentinel_accounts_folder(layout) / "users.acl"


def sentinel_users(passwords: Mapping[str, str]) -> str:
    """The content of that file; nobody gets in without a login."""
    accounts = users("", {name: passwords[name] for name in _AT_SENTINELS}, _AT_SENTINELS)
    return users_file(accounts)


def rights(project: str) -> Mapping[str, str]:
    """What each account may do, in the words of Redis; the app only with keys of its own."""
    return {
        APP: f"~{project}:* resetchannels +@all -@dangerous -function",
        EXPORTER: f"resetchannels -@all {_EXPORTERS}",
        OPERATOR: "~* &* +@all",
        REPLICA: f"resetchannels -@all {_REPLICAS}",
        SENTINEL: f"allchannels -@all {_SENTINELS}",
    }


def users(
    project: str, passwords: Mapping[str, str], granted: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """One account each, as after `ACL SETUSER`: the same at every time, whatever the account was before."""
    may = granted or rights(project)
    return tuple(
        f"{name} reset on #{hashlib.sha256(password.encode()).hexdigest()} {may[name]}"
        for name, password in passwords.items()
    )


def users_file(accounts: Iterable[str]) -> str:
    """The content of the file; `default`, the account of clients that do not log in, is off."""
    # In a file each account is new, and `reset` no word that Redis expects.
    return "".join(f"user {line.replace(' reset', '', 1)}\n" for line in ("default off", *accounts))


def stored_secrets(topology: Topology) -> Iterator[StoredSecret]:
    """The passwords of the accounts, or the one that the spec gives to all clients."""
    redis, layout = topology.spec.redis, topology.layout
    login = redis_login(topology.spec)
    if login == GIVEN:
        users = ("app", "redis-exporter", "techsapo", "you")
        yield StoredSecret(
            "redis",
            msg("Redis, with all rights"),
            users,
            redis.user,
            given=redis.password,
            setting="redis.password",
        )
    elif login == MADE:
        for name, account, rights_, used_by in (
            ("redis-operator", OPERATOR, msg("all rights"), ("techsapo", "you")),
            ("redis-app", APP, msg("the app's rights"), ("app",)),
            ("redis-exporter", EXPORTER, msg("access to metrics only"), ("redis-exporter",)),
            ("redis-replica", REPLICA, msg("the rights of a replica"), ("redis",)),
            ("redis-sentinel", SENTINEL, msg("the rights of a Sentinel"), ("sentinel",)),
        ):
            if account not in accounts_of(topology):
                continue
            yield StoredSecret(
                name,
                msg("Redis, with {rights}", rights=rights_),
                used_by,
                account,
                password_file(layout, account),
            )


def tls_options(topology: Topology) -> tuple[str, ...]:
    """Options that make redis-cli speak TLS, where Redis does; none elsewhere.

    redis-cli compares no host name: that the CA signs for this one server alone has to do.
    """
    from techsapo_ops.stack.own_tls import ca_seen

    return ("--tls", "--cacert", str(ca_seen(topology, "redis"))) if topology.spec.redis.tls else ()
