"""The way to a Redis for requests, which may find it away."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from techsapo_ops.adapters.redis import RedisServer
from techsapo_ops.adapters.streaks import OnOperation, Operation, Streaks, uncounted
from techsapo_ops.stores import Unconfirmed
from techsapo_ops.stores.redis_pool import SHARED_TIMEOUT, connect

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.client import Pipeline


log = logging.getLogger("techsapo.redis")

T = TypeVar("T")

PAUSE = 1.0
"""Seconds for which Redis is not asked after an error, so that a dead one slows no request down."""
HUNG_PAUSE = 5.0
"""The same after one that was reached and did not answer in time: asking it again is dear."""
FAILOVER_PAUSE = 0.2
"""PAUSE and HUNG_PAUSE where another Redis may take over: it is to be noticed soon."""
PATIENCE = 6.0
"""Seconds in which what must be confirmed is tried again: a failover takes less."""
REPLICATION = 0.5
"""Longest time in seconds that a replica is waited for; it has what was written within milliseconds."""
_ALONE = "Redis is not available; this instance goes on alone"
_WAITS = "No Redis accepts writes; writes that replicas must confirm wait for the next master"
_PASSING = ("NOREPLICAS", "UNBLOCKED", "MASTERDOWN", "TRYAGAIN")
"""Errors of a Redis that another one may be about to take over from, or that has just taken over."""


class Away(Exception):
    """Redis is not configured, does not answer, or failed a moment ago."""


def pause_after(error: Exception, *, failover: bool = False) -> float:
    """Seconds for which Redis is better left alone after `error`; one that it answers costs no wait.

    `failover` is whether another one may take over meanwhile.
    """
    from redis import ResponseError
    from redis import TimeoutError as Late

    if isinstance(error, ResponseError):
        return 0.0
    if failover:
        return FAILOVER_PAUSE
    return HUNG_PAUSE if isinstance(error, Late | TimeoutError) else PAUSE


class RedisLink:
    """Calls to Redis, or Away at once while it is known not to answer, and where there is no `server`.

    `used_for` is named in the log; `timeout` is the longest time in seconds that a call waits.
    """

    def __init__(
        self,
        server: RedisServer | None,
        used_for: str,
        on_operation: OnOperation = uncounted,
        *,
        timeout: float = SHARED_TIMEOUT,
    ) -> None:
        self._redis: Redis | None = connect(server, timeout) if server is not None else None
        self.where = str(server)
        self.copies = server.copies if server is not None else 0
        """How many replicas must have what no failover may lose; 0 where there is no failover."""
        self._used_for = used_for
        self._on_operation = on_operation
        self._paused_until = 0.0
        self.streaks = Streaks()
        self.last_error = ""
        """Why the last operation that failed did."""

    @property
    def configured(self) -> bool:
        """Whether there is a Redis at all."""
        return self._redis is not None

    @property
    def changes(self) -> int:
        """How often another Redis became the master, as far as this client has seen."""
        return getattr(self._redis.connection_pool, "changes", 0) if self._redis is not None else 0

    @property
    def failing(self) -> frozenset[Operation]:
        """Operations of which the last one failed."""
        return self.streaks.failing

    async def call(self, work: Callable[[Redis], Awaitable[T]], operation: Operation = "write") -> T:
        """What `work` makes of the connection, which counts as one `operation`. Raises Away."""
        if self._redis is None or time.monotonic() < self._paused_until:
            raise Away
        return await self._counted(self._redis, work, operation)

    async def insist(self, work: Callable[[Redis], Awaitable[T]], operation: Operation = "write") -> T:
        """As `call`, also while Redis is left alone after an error: for what is too late after that pause."""
        if self._redis is None:
            raise Away
        return await self._counted(self._redis, work, operation)

    async def ping(self) -> bool:
        """Whether Redis answers now, also during a pause, which is then over."""

        async def work(redis: Redis) -> None:
            from redis import ResponseError

            with suppress(ResponseError):  # it answers: after a failed save it refuses a PING as well
                await redis.ping()

        if self._redis is None:
            return False
        try:
            await self._counted(self._redis, work, "ping")
        except Away:
            return False
        self._paused_until = 0.0
        return True

    async def try_again(self, trials: Mapping[Operation, Callable[[Redis], Awaitable[object]]]) -> None:
        """Do again what Redis failed at, with something of nobody: without traffic it would be failing for
        ever.

        Each trial is one operation, so that no part of it passes for the whole.
        """
        for operation in self.failing & trials.keys():
            with suppress(Away):
                await self.call(trials[operation], operation)

    async def _counted(self, redis: Redis, work: Callable[[Redis], Awaitable[T]], operation: Operation) -> T:
        from redis import RedisError

        try:
            result = await work(redis)
        except (RedisError, OSError) as error:
            self._on_operation(operation, False)
            self._paused_until = time.monotonic() + pause_after(error, failover=self.copies > 0)
            self.last_error = " ".join(str(error).split())[:200] or type(error).__name__
            if self.streaks.note(operation, ok=False):
                log.warning(
                    _WAITS if self.copies else _ALONE,
                    extra=self._fields(operation=operation, error=self.last_error),
                )
            raise Away from error
        self._on_operation(operation, True)
        if self.streaks.note(operation, ok=True):
            log.info("Redis is available again", extra=self._fields())
        return result

    def _fields(self, **more: str) -> dict[str, str]:
        return {"redis": self.where, "used_for": self._used_for, **more}

    async def surely(
        self, command: Callable[[Redis | Pipeline], Awaitable[Any]], operation: Operation = "write"
    ) -> Any:
        """What one command answers. Where another Redis may take over it is `confirmed`, and Unconfirmed is
        raised; where there is one Redis alone it is tried once. Raises Away then.
        """
        if self.copies:
            return await self.confirmed(command, operation)
        return await self.call(command, operation)

    async def confirmed(
        self,
        queue: Callable[[Pipeline], object],
        operation: Operation = "write",
        patience: float | None = None,
    ) -> Any:
        """What the one command answers that `queue` puts into a pipeline, once `copies` replicas have what it
        wrote: no failover loses that.

        For `patience` seconds (default: PATIENCE) it is tried again, as a failover may be under way, so that
        the command must come to the same when it is carried out twice. Raises Unconfirmed.
        """

        async def once(redis: Redis) -> Any:
            pipe = redis.pipeline(transaction=False)
            queue(pipe)
            pipe.wait(self.copies, int(REPLICATION * 1000))
            answer, copies = await pipe.execute(raise_on_error=False)
            if isinstance(answer, Exception):
                raise answer
            if isinstance(copies, Exception):
                raise copies
            if copies < self.copies:
                raise _TooFew
            return answer

        until = time.monotonic() + (PATIENCE if patience is None else patience)
        while True:
            try:
                return await self.call(once, operation)
            except (Away, _TooFew) as error:
                if time.monotonic() >= until or not _passes(error.__cause__):
                    raise Unconfirmed from error
                if isinstance(error, _TooFew):
                    await self._ask_sentinels()
            await asyncio.sleep(FAILOVER_PAUSE / 2)

    async def _ask_sentinels(self) -> None:
        """Ask the Sentinels which Redis is the master: who has no replica may be so no longer."""
        from redis import RedisError

        ask = getattr(self._redis.connection_pool, "get_master_address", None) if self._redis else None
        if ask is not None:
            with suppress(RedisError, OSError):  # the next try finds it away
                await ask()

    async def close(self) -> None:
        """Give the connections back."""
        if self._redis is not None:
            await self._redis.aclose()
            await self._redis.connection_pool.disconnect()


class _TooFew(Exception):
    """It was written, but too few replicas have it."""


def _passes(error: BaseException | None) -> bool:
    """Whether `error` may come of a failover; None is that Redis was left alone."""
    from redis import ResponseError

    return not isinstance(error, ResponseError) or any(word in str(error) for word in _PASSING)
