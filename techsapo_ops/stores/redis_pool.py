"""Connections to a Redis; of several, to the one that Sentinels call the master when a connection is opened.

https://redis.io/docs/latest/develop/reference/sentinel-clients/
"""

from __future__ import annotations

import asyncio
import weakref
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from techsapo_ops.adapters.redis import RedisServer, Sentinels, bounded
from techsapo_ops.stores.redis_connections import prepared

if TYPE_CHECKING:
    from redis.asyncio import BlockingConnectionPool, Redis

SHARED_TIMEOUT = 3.0
"""Longest time in seconds that a request waits for shared money, limits and locks. It is long: a busy event
loop is late by tenths of a second, and while each instance counts for itself they allow too much together."""
CONNECTIONS = 32
"""Most connections at once; more callers wait for one."""
QUEUE_TIMEOUT = 5.0
"""Longest time in seconds that a caller waits for a free connection."""
FAILOVER_TIMEOUT = 1.0
"""SHARED_TIMEOUT where another Redis may take over: of one that was cut off no answer comes."""
_NO_REPLICAS = "NOREPLICAS"
"""Of `min-replicas-to-write`: https://redis.io/docs/latest/operate/oss_and_stack/management/replication/"""
SENTINEL_TIMEOUT = 0.5
"""Longest time in seconds that a Sentinel is waited for: the next one knows as much."""


def connect(server: RedisServer, timeout: float = SHARED_TIMEOUT) -> Redis:
    """A client whose callers queue for few connections, which wait `timeout` seconds at most; nothing is
    connected yet.
    """
    from redis.asyncio import Redis

    return prepared(Redis(connection_pool=pool(server, timeout)))


def pool(server: RedisServer, timeout: float) -> BlockingConnectionPool:
    """Few connections that wait `timeout` seconds at most, for which callers queue."""
    from redis.asyncio import BlockingConnectionPool, Connection, SSLConnection

    queue: dict[str, Any] = {"max_connections": CONNECTIONS, "timeout": QUEUE_TIMEOUT}
    if server.sentinels is not None:
        return _to_master(server, server.sentinels, {**queue, **bounded(min(timeout, FAILOVER_TIMEOUT))})
    kind = SSLConnection if server.tls else Connection
    return BlockingConnectionPool(connection_class=kind, **queue, **server.client_options(timeout))


def _to_master(server: RedisServer, sentinels: Sentinels, options: dict[str, Any]) -> BlockingConnectionPool:
    """A pool whose connections go to the master. Nothing tries again by itself: a client of a master that was
    cut off would wait until the cut has healed.
    """
    from redis.asyncio.sentinel import Sentinel, SentinelManagedConnection, SentinelManagedSSLConnection

    login = server.login()  # the same at the Sentinels
    manager = Sentinel(
        [(each.host, each.port) for each in sentinels.addresses],
        sentinel_kwargs={**login, "ssl": server.tls, **bounded(SENTINEL_TIMEOUT)},
    )
    for each in manager.sentinels:
        prepared(each)
    kind = _leaving(SentinelManagedSSLConnection if server.tls else SentinelManagedConnection)
    made: BlockingConnectionPool = _master_pool()(
        manager, sentinels.master, connection_class=kind, **login, **options
    )
    return made


@cache
def _leaving(base: type) -> type:
    """A connection that is closed where its Redis says that too few replicas follow it.

    It may be a master that was cut off, from which Sentinels take the place only eight seconds after its
    cable is back: opened anew, the connection leads to the one that they name. redis-py does so for READONLY
    alone.
    """
    from redis import ConnectionError as Broken
    from redis import ResponseError

    class Leaving(base):  # type: ignore[misc] # of either class
        async def read_response(self, *args: Any, **options: Any) -> Any:
            try:
                return await super().read_response(*args, **options)
            except ResponseError as error:
                if _NO_REPLICAS not in str(error):
                    raise
                await self.disconnect(nowait=True)
                raise Broken(str(error)) from error

    return type(base.__name__, (Leaving,), {})


@cache
def _master_pool() -> Any:
    """The class of such pools; redis-py is imported when one is first needed."""
    from redis import RedisError
    from redis.asyncio import BlockingConnectionPool

    class MasterPool(BlockingConnectionPool):
        """What redis-py's SentinelConnectionPool is, but for callers that queue for few connections."""

        is_master = True
        check_connection = False

        def __init__(self, manager: Any, master: str, **options: Any) -> None:
            super().__init__(**options)
            self.connection_kwargs["connection_pool"] = weakref.proxy(self)
            self._manager = manager
            self._master = master
            self._address: tuple[str, int] | None = None
            self.changes = 0
            """How often it became another one."""
            self._asking: asyncio.Task[tuple[str, int]] | None = None

        async def get_master_address(self) -> tuple[str, int]:
            """The master's, asked once for all who want to know it now."""
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(_found(self._manager, self._master))
                self._asking.add_done_callback(_looked_at)
            address = await asyncio.shield(self._asking)
            if address != self._address:
                self.changes += self._address is not None
                self._address = address
                for idle in list(self._available_connections):
                    with suppress(RedisError, OSError):
                        await idle.disconnect(nowait=True)
            return address

        async def release(self, connection: Any) -> None:
            if self._address is not None and (connection.host, connection.port) != self._address:
                connection.mark_for_reconnect()  # it was in use when another one became the master
            await super().release(connection)

        async def disconnect(self, inuse_connections: bool = True) -> None:
            await super().disconnect(inuse_connections)
            if inuse_connections:
                await self._manager.aclose()

    return MasterPool


async def _found(manager: Any, master: str) -> tuple[str, int]:
    """The master's address, by the first Sentinel that knows one that is not down.

    redis-py's own discovery reads the state of the master alone. While Sentinels bring the other replicas
    round to a new one, a second or two, that state still is the last one's; the address is the new one's by
    then: https://redis.io/docs/latest/develop/reference/sentinel-clients/
    """
    from redis import ConnectionError as Broken
    from redis import ResponseError
    from redis import TimeoutError as Late
    from redis.asyncio.sentinel import MasterNotFoundError

    said: list[str] = []
    for number, sentinel in enumerate(manager.sentinels):
        try:
            state = await sentinel.sentinel_master(master)
            address = await sentinel.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", master)
        except (Broken, Late, ResponseError) as error:
            said.append(str(error))
            continue
        host, port = (address[0].decode(), int(address[1])) if address else ("", 0)
        if not host or (host == state["ip"] and state["is_sdown"]):
            said.append("it is down")
            continue
        manager.sentinels.insert(0, manager.sentinels.pop(number))
        return host, port
    raise MasterNotFoundError(f"no Sentinel knows a master {master}: {'; '.join(dict.fromkeys(said))}")


def _looked_at(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
