"""Every client of the stack's Redis finds it at the same place, and trusts the stack's own CA alone."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from rows import each_row

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.redis import RedisServer, Sentinels
from techsapo_ops.certs.self_signed import ensure
from techsapo_ops.stores import limits
from techsapo_ops.stores.redis_pool import connect


def contexts(client: Any) -> list[ssl.SSLContext]:
    """Those of two new connections of a client."""
    pool = client.connection_pool
    return [pool.make_connection().ssl_context.get() for _ in range(2)]


def server(place: Path, *, sentinels: bool) -> RedisServer:
    ensure(place / "web", ["localhost"], now=datetime.now(UTC))
    known = Sentinels((Address("localhost", 26379),), "shop") if sentinels else None
    return RedisServer("localhost", 6379, tls=True, ca=place / ".ca/ca.pem", sentinels=known)


@each_row("sentinels", [False, True])
def test_connections_share_a_context_that_trusts_no_ca_of_the_system(tmp_path: Path, sentinels: bool) -> None:
    redis = server(tmp_path, sentinels=sentinels)
    clients = [
        connect(redis),
        limits._storage(redis, "x").bridge.storage,  # type: ignore[attr-defined] # RedisStorage has it
    ]
    if sentinels:
        clients += connect(redis).connection_pool._manager.sentinels  # type: ignore[attr-defined]
    made = [context for client in clients for context in contexts(client)]
    assert len(set(map(id, made))) == 1
    (found,) = made[0].get_ca_certs()
    assert dict(part for (part,) in found["subject"])["commonName"].startswith("TechSapo")  # type: ignore[misc]
    assert made[0].verify_mode is ssl.CERT_REQUIRED
    assert made[0].check_hostname


def test_a_ca_that_was_made_anew_is_the_next_connections(tmp_path: Path) -> None:
    redis, other = server(tmp_path / "a", sentinels=False), server(tmp_path / "b", sentinels=False)
    client = connect(redis)
    old, _ = contexts(client)
    assert redis.ca is not None
    assert other.ca is not None
    other.ca.replace(redis.ca)
    new, _ = contexts(client)
    assert old.get_ca_certs() != new.get_ca_certs()
    redis.ca.unlink()
    with pytest.raises(FileNotFoundError):
        contexts(client)


@each_row(
    "listens, asked",
    [
        ("0.0.0.0", "127.0.0.1"),
        ("::", "::1"),
        ("localhost", "127.0.0.1"),
        ("fd00::5", "fd00::5"),
        ("192.0.2.7", "192.0.2.7"),
    ],
)
def test_links_and_rate_limits_ask_the_same_address(listens: str, asked: str) -> None:
    server = RedisServer(listens, 7001)
    clients = (
        connect(server),
        limits._storage(server, "x").bridge.storage,  # type: ignore[attr-defined] # RedisStorage has it
    )
    places = [client.connection_pool.connection_kwargs for client in clients]
    assert [(place["host"], place["port"]) for place in places] == [(asked, 7001)] * 2


class Stuck:
    """A writer whose peer takes nothing more, or is gone."""

    def __init__(self, fault: Exception | None) -> None:
        self._fault = fault
        self.closed = False

    def writelines(self, parts: Any) -> None: ...

    async def drain(self) -> None:
        if self._fault is not None:
            raise self._fault
        await asyncio.Event().wait()

    def close(self) -> None:
        self.closed = True


def sending(fault: Exception | None) -> Any:
    """A connection that was made and then gets stuck."""
    pool: Any = connect(RedisServer("localhost", 6379), timeout=0.001).connection_pool
    connection = pool.make_connection()
    connection._reader, connection._writer = object(), Stuck(fault)
    return connection


@each_row("fault, told", [(None, redis.TimeoutError), (ConnectionResetError(), redis.ConnectionError)])
def test_a_command_that_cannot_be_sent_closes_its_connection_and_is_an_error_of_redis(
    fault: Exception | None, told: type[Exception]
) -> None:
    connection = sending(fault)
    writer = connection._writer
    with pytest.raises(told):
        asyncio.run(connection.send_command("PING"))
    assert writer.closed
    assert not connection.is_connected


def test_a_cancelled_command_closes_its_connection() -> None:
    """Its answer would be taken for the next command's."""
    connection = sending(None)
    connection.socket_timeout = None

    async def cancelled() -> None:
        task = asyncio.create_task(connection.send_command("PING"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert not connection.is_connected
