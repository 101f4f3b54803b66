"""Holds a provider to what an analysis takes: in time, with another attempt where that may help."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace

from typing_extensions import override

from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.answers import Answer
from techsapo_ops.wallbounce.asks import Ask, Reply
from techsapo_ops.wallbounce.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.provider import Decorator, Provider
from techsapo_ops.wallbounce.retry import RetryPolicy, call_with_retries
from techsapo_ops.wallbounce.worst_cases import worst_of_ask

MAX_ANSWER = 100_000
"""Longest answer in characters that is compared and passed on."""


class Bounded(Decorator):
    """`inner` within its own time and the ask's, and with answers that are neither empty nor endless.

    After a failure that may pass it is called again, as often as `attempts` says. What failed attempts cost
    is part of what the call costs, and a pause between two of them is a wait for the vendor. Nobody knows
    what a vendor bills for a call that was cut off, so that its worst case counts. Where the ask's time was
    over, and not the provider's own, the analysis's wait takes note.
    """

    def __init__(
        self,
        inner: Provider,
        policy: RetryPolicy | None = None,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(inner)
        self._policy = policy or RetryPolicy(attempts=inner.attempts)
        self._sleep = sleep
        self._draw = draw

    @override
    async def call(self, ask: Ask) -> Reply:
        clock = asyncio.get_running_loop().time
        allowed, began, lost = min(self.timeout, ask.limit), clock(), 0.0
        timed = replace(ask, due=began + self.timeout)

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
            reply = await call_with_retries(attempt, self._policy, allowed, sleep=pause, draw=self._draw)
        except ProviderError as error:
            error.cost_usd = lost
            raise
        except TimeoutError:
            if ask.limit < self.timeout and clock() >= began + allowed:
                ask.context.wait.cut_off = True
            told = msg("no answer within {allowed:.3g} s", allowed=allowed)
            cost = lost + worst_of_ask(self.inner, ask)
            raise ProviderError(FailureKind.TIMEOUT, told, cost_usd=cost) from None
        if lost:
            reply = replace(reply, cost_usd=reply.cost_usd + lost)
        if isinstance(reply, Answer):
            _check(reply)
        return reply


def _check(answer: Answer) -> None:
    if not answer.text.strip():
        raise ProviderError(FailureKind.BAD_ANSWER, msg("the answer is empty"), cost_usd=answer.cost_usd)
    if len(answer.text) > MAX_ANSWER:
        raise ProviderError(
            FailureKind.BAD_ANSWER,
            msg(
                "the answer has {count} characters, more than {max_answer}",
                count=len(answer.text),
                max_answer=MAX_ANSWER,
            ),
            cost_usd=answer.cost_usd,
        )
