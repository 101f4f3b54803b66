"""redis-py's connections as this program has them: cancelled tasks end, and one TLS context is enough."""

from __future__ import annotations

import asyncio
import os
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from ssl import SSLContext


C = TypeVar("C")


def prepared(client: C) -> C:
    """`client` of redis-py, whose connections are such ones from now on; it has none yet."""
    made: Any = client
    pool = made.connection_pool
    pool.connection_class = _cancellable(sharing(pool.connection_class))
    return client


class _Cancellable:
    """redis-py sends by asyncio.wait_for. Python 3.11's loses a cancellation that comes just when it is done,
    and whatever waits for the end of the cancelled task waits for ever: https://github.com/python/cpython/issues/86296
    """

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        connection: Any = super()
        task = asyncio.current_task()
        before = task.cancelling() if task is not None else 0
        await connection.send_packed_command(command, check_health)
        if task is not None and task.cancelling() > before:
            await connection.disconnect(nowait=True)  # its answer would be taken for the next command's
            raise asyncio.CancelledError


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
            found = os.stat(ca)  # noqa: PTH116 - redis-py has it as text
            return _context(ca, found.st_ino, found.st_mtime_ns)

    def made(self: Any, **options: Any) -> None:
        base.__init__(self, **options)
        self.ssl_context = Shared(ca_certs=self.ca_certs, cert_reqs="required", check_hostname=True)

    return type(base.__name__, (base,), {"__init__": made})


@lru_cache(maxsize=4)
def _context(ca: str | None, _inode: int, _changed: int) -> SSLContext:
    """What trusts `ca` alone, or the CAs of the system where there is none."""
    import ssl

    return ssl.create_default_context(cafile=ca)
