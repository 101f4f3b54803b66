"""Makes a call again whose failure may pass, within the provider's time-out."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace

from typing_extensions import override

from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.asks import Ask, Reply
from techsapo_ops.wallbounce.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.provider import Decorator, Provider
from techsapo_ops.wallbounce.retry import RetryPolicy, call_with_retries
from techsapo_ops.wallbounce.worst_cases import worst_of_ask


class Retrying(Decorator):
    """`inner` with a deadline over all attempts, and further attempts after passing failures.

    It gives up a little before `timeout`, so that a caller with the same deadline hears why. What failed
    attempts cost is part of what the call costs. A pause between two attempts is a wait for the vendor.
    """

    def __init__(
        self,
        inner: Provider,
        policy: RetryPolicy,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(inner)
        self._limit = inner.timeout - min(0.05, inner.timeout * 0.02)
        self._policy = policy
        self._sleep = sleep
        self._draw = draw

    @override
    async def call(self, ask: Ask) -> Reply:
        timed = replace(ask, due=asyncio.get_running_loop().time() + self._limit)
        lost = 0.0

        async def attempt() -> Reply:
            nonlocal lost
            try:
                return await self.inner.call(timed)
            except ProviderError as error:
                lost += error.cost_usd
                raise

        async def pause(seconds: float) -> None:
            with ask.context.wait.lasts():
                await self._sleep(seconds)

        try:
            reply = await call_with_retries(attempt, self._policy, self._limit, sleep=pause, draw=self._draw)
        except ProviderError as error:
            error.cost_usd = lost
            raise
        except TimeoutError:
            told = msg("no answer within {timeout:g} s", timeout=self.timeout)
            cost = lost + worst_of_ask(self.inner, ask)
            raise ProviderError(FailureKind.TIMEOUT, told, cost_usd=cost) from None
        return replace(reply, cost_usd=reply.cost_usd + lost) if lost else reply
