"""One way to a Redis that may be away: short time-outs, and a pause after each failure."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from techsapo_ops.spec.models.base import reachable_host
from techsapo_ops.spec.models.data import Redis as RedisSpec

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = logging.getLogger("techsapo.redis")

T = TypeVar("T")
Told = Callable[[bool], None]
"""Hears of each operation on Redis, whether it succeeded."""

SHARED_TIMEOUT = 3.0
"""Longest time in seconds that a request waits for shared money, limits and locks. It is long: a busy event
loop is late by tenths of a second, and while each instance counts for itself they allow too much together."""
PAUSE = 1.0
"""Seconds for which Redis is not asked after an error, so that a dead one slows no request down."""
HUNG_PAUSE = 5.0
"""The same after one that was reached and did not answer in time: asking it again is dear."""
CONNECTIONS = 32
"""Most connections at once; more callers wait for one."""
QUEUE_TIMEOUT = 5.0
"""Longest time in seconds that a caller waits for a free connection."""


class Away(Exception):
    """Redis is not configured, does not answer, or failed a moment ago."""


def pause_after(error: Exception) -> float:
    """Seconds for which Redis is better left alone after `error`."""
    from redis import TimeoutError as Late

    return HUNG_PAUSE if isinstance(error, Late | TimeoutError) else PAUSE


def unheard(_ok: bool) -> None:
    """Nobody is told."""


class RedisLink:
    """Calls to Redis, or Away at once while it is known not to answer.

    `used_for` is told in the log. `ca`: see login.
    """

    def __init__(
        self, spec: RedisSpec, used_for: str, told: Told = unheard, *, ca: Path | None = None
    ) -> None:
        self._redis: Redis | None = connect(spec, ca) if spec.enabled else None
        self._where = f"{spec.host}:{spec.port}"
        self._used_for = used_for
        self._told = told
        self._paused_until = 0.0
        self._errors = 0

    @property
    def configured(self) -> bool:
        """Whether there is a Redis at all."""
        return self._redis is not None

    async def call(self, work: Callable[[Redis], Awaitable[T]]) -> T:
        """What `work` makes of the connection. Raises Away."""
        if self._redis is None or time.monotonic() < self._paused_until:
            raise Away
        from redis import RedisError

        try:
            result = await work(self._redis)
        except (RedisError, OSError) as error:
            self._told(False)
            self._errors += 1
            self._paused_until = time.monotonic() + pause_after(error)
            if self._errors == 1:
                cause = " ".join(str(error).split())[:200] or type(error).__name__
                log.warning(
                    "Shared counters and locks are not available; this instance goes on alone",
                    extra={"redis": self._where, "used_for": self._used_for, "error": cause},
                )
            raise Away from error
        self._told(True)
        if self._errors:
            log.info(
                "Shared counters and locks are available again",
                extra={"redis": self._where, "used_for": self._used_for},
            )
        self._errors = 0
        return result

    async def close(self) -> None:
        """Give the connections back."""
        if self._redis is not None:
            await self._redis.aclose()
            await self._redis.connection_pool.disconnect()


def login(spec: RedisSpec, ca: Path | None) -> dict[str, Any]:
    """Options of redis-py, and of what is built on it, that log a client in.

    Where Redis speaks TLS, it has to show a certificate for its address that `ca` has signed (None: one of
    the system's CAs). That it is to speak TLS, the caller says in its own way.
    """
    options: dict[str, Any] = {}
    if spec.tls:
        options |= {"ssl_ca_certs": str(ca) if ca is not None else None, "ssl_check_hostname": True}
    if spec.password is not None:
        options["password"] = spec.password.reveal()
    if spec.user is not None:
        options["username"] = spec.user
    return options


def client_options(spec: RedisSpec, ca: Path | None, timeout: float) -> dict[str, Any]:
    """Options of a connection of redis-py that waits `timeout` seconds at most and never retries by itself.

    `ca`: see login.
    """
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    return {
        "host": reachable_host(spec.host),
        "port": spec.port,
        **login(spec, ca),
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }


def connect(spec: RedisSpec, ca: Path | None = None) -> Redis:
    """A client whose callers queue for few connections; nothing is connected yet. `ca`: see login."""
    from redis.asyncio import BlockingConnectionPool, Connection, Redis, SSLConnection

    pool = BlockingConnectionPool(
        max_connections=CONNECTIONS,
        timeout=QUEUE_TIMEOUT,
        connection_class=SSLConnection if spec.tls else Connection,
        **client_options(spec, ca, SHARED_TIMEOUT),
    )
    return Redis(connection_pool=pool)
