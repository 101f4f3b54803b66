"""Connections to a Redis; of several, to the one that Sentinels call the master when a connection is opened.

They are redis-py's, as this program has them: cancelled tasks end, and one TLS context is enough.
https://redis.io/docs/latest/develop/reference/sentinel-clients/
"""

from __future__ import annotations

import asyncio
import os
import weakref
from contextlib import suppress
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from techsapo_ops.adapters.imports import without
from techsapo_ops.adapters.redis import RedisServer, Sentinels, bounded

if TYPE_CHECKING:
    from ssl import SSLContext

    from redis.asyncio import BlockingConnectionPool, Redis


C = TypeVar("C")


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
    with without("opentelemetry.sdk.metrics"):  # its own metrics, which nobody turns on: 70 modules
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
                self._asking = asyncio.create_task(_master_address(self._manager, self._master))
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


async def _master_address(manager: Any, master: str) -> tuple[str, int]:
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


def prepared(client: C) -> C:
    """`client` of redis-py, whose connections are such ones from now on; it has none yet."""
    made: Any = client
    pool = made.connection_pool
    pool.connection_class = _cancellable(sharing(pool.connection_class))
    return client


class _Cancellable:
    """redis-py sends by asyncio.wait_for. In Python 3.11 that is a task for each command, a third of what one
    takes, and loses a cancellation that comes just when it is done, so that whatever waits for the end of the
    cancelled task waits for ever: https://github.com/python/cpython/issues/86296
    """

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        from redis import ConnectionError as Broken
        from redis import TimeoutError as Late

        connection: Any = self
        if not connection.is_connected:
            await connection.connect_check_health(check_health=False)
        if check_health:
            await connection.check_health()
        try:
            async with asyncio.timeout(connection.socket_timeout):
                await connection._send_packed_command(command)
        except BaseException as error:
            await connection.disconnect(nowait=True)  # the answer would be taken for the next command's
            if isinstance(error, OSError):
                raise (Late if isinstance(error, TimeoutError) else Broken)(str(error)) from error
            raise


@cache
def _cancellable(base: type) -> type:
    return type(base.__name__, (_Cancellable, base), {})


@cache
def sharing(base: type) -> type:
    """A class of connections like `base`, of which all that speak TLS have one context.

    redis-py makes one for each connection, from the CAs of the system, .8 MB and 5 ms, and trusts those
    beside the one that is named: the hundred connections that a failover left open took 130 MB.
    """
    from redis.asyncio import SSLConnection
    from redis.asyncio.connection import RedisSSLContext

    if not issubclass(base, SSLConnection):
        return base

    class Shared(RedisSSLContext):
        """What gives each connection the same context, read anew once the CA's file is another one."""

        def get(self) -> SSLContext:
            """The context. Raises OSError where the file can't be read."""
            ca: Any = self.ca_certs
            if ca is None:
                return _context(None, 0, 0)
            status = os.stat(ca)  # noqa: PTH116 - redis-py has it as text
            return _context(ca, status.st_ino, status.st_mtime_ns)

    def made(self: Any, **options: Any) -> None:
        base.__init__(self, **options)
        self.ssl_context = Shared(ca_certs=self.ca_certs, cert_reqs="required", check_hostname=True)

    return type(base.__name__, (base,), {"__init__": made})


@lru_cache(maxsize=4)
def _context(ca: str | None, _inode: int, _changed: int) -> SSLContext:
    """What trusts `ca` alone, or the CAs of the system where there is none."""
    import ssl

    return ssl.create_default_context(cafile=ca)
