"""redis-py's connections as this program has them: cancelled tasks end, and one TLS context is enough."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any, TypeVar

from techsapo_ops.stores.redis_tls import sharing

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
