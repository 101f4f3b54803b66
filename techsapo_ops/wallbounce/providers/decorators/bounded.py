"""Holds a provider to what an analysis takes: in time, with another attempt where that may help.

Of the two libraries that fit the field, stamina and tenacity, neither takes the wait from the error that was
raised while it keeps a deadline that also cuts the attempt under way.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace

from typing_extensions import override

from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.answers import Answer
from techsapo_ops.wallbounce.providers.asks import Ask, Reply
from techsapo_ops.wallbounce.providers.breaker import CircuitOpen
from techsapo_ops.wallbounce.providers.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.provider import Decorator, Provider
from techsapo_ops.wallbounce.providers.worst_cases import worst_of_ask

MAX_ANSWER = 100_000
"""Longest answer in characters that is compared and passed on."""
BASE, CAP = 0.5, 8.0
"""Seconds: the longest pause after the first failure, and after any; it doubles with each."""


def pause_after(attempt: int, retry_after: float | None, draw: float) -> float:
    """Seconds to wait after attempt number `attempt` (from 1) failed; `draw` is 0 to 1.

    What the provider asked for by Retry-After, and a share of min(CAP, BASE * 2 ** (attempt - 1)) ("full
    jitter", https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    """
    return (retry_after or 0.0) + draw * min(CAP, BASE * 2.0 ** min(attempt - 1, 30))


class Bounded(Decorator):
    """`inner` within its own time and the ask's, and with answers that are neither empty nor endless.

    After a failure that may pass it is called again, as often as its `attempts` say; a pause that would end
    after the deadline is not begun. What failed attempts cost is part of what the call costs, and a pause is
    a wait for the vendor. Nobody knows what a vendor bills for a call that was cut off: the worst counts.
    Where the ask's time was over, and not the provider's own, the analysis's wait takes note.
    """

    def __init__(
        self,
        inner: Provider,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(inner)
        self._sleep = sleep
        self._draw = draw

    @override
    async def call(self, ask: Ask) -> Reply:
        clock = asyncio.get_running_loop().time
        allowed, began = min(self.timeout, ask.limit), clock()
        deadline, attempt, lost = began + allowed, 0, 0.0
        timed = replace(ask, due=began + self.timeout)
        try:
            async with asyncio.timeout_at(deadline):
                while True:
                    attempt += 1
                    try:
                        reply = await self.inner.call(timed)
                        break
                    except ProviderError as error:
                        lost += error.cost_usd
                        pause = pause_after(attempt, error.retry_after, self._draw())
                        hopeless = isinstance(error, CircuitOpen) or not error.passing
                        if hopeless or attempt >= self.attempts or clock() + pause >= deadline:
                            error.cost_usd = lost
                            raise
                    with ask.context.wait.lasts():
                        await self._sleep(pause)
        except TimeoutError:
            if ask.limit < self.timeout and clock() >= deadline:
                ask.context.wait.cut_off = True
            late = msg("no answer within {allowed:.3g} s", allowed=allowed)
            cost = lost + worst_of_ask(self.inner, ask)
            raise ProviderError(FailureKind.TIMEOUT, late, cost_usd=cost) from None
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
