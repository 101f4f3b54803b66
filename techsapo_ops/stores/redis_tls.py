"""TLS of redis-py's connections: one context for all, which trusts the CA that is named and no other."""

from __future__ import annotations

import os
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssl import SSLContext


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
