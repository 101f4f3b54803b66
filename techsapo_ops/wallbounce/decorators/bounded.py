"""Holds a provider to what an analysis takes."""

from __future__ import annotations

import asyncio

from typing_extensions import override

from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.answers import Answer
from techsapo_ops.wallbounce.asks import Ask, Reply
from techsapo_ops.wallbounce.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.provider import Decorator
from techsapo_ops.wallbounce.worst_cases import worst_of_ask

MAX_ANSWER = 100_000
"""Longest answer in characters that is compared and passed on."""


class Bounded(Decorator):
    """`inner` within its own time and the ask's, and with answers that are neither empty nor endless.

    What the vendor bills for a call that was cut off nobody knows, so that its worst case counts. Where the
    ask's time was over, and not the provider's own, the analysis's wait takes note.
    """

    @override
    async def call(self, ask: Ask) -> Reply:
        allowed = min(self.timeout, ask.limit)
        try:
            async with asyncio.timeout(allowed) as timer:
                reply = await self.inner.call(ask)
        except TimeoutError:
            if timer.expired() and ask.limit < self.timeout:
                ask.context.wait.cut_off = True
            told = msg("no answer within {allowed:.3g} s", allowed=allowed)
            cost = worst_of_ask(self.inner, ask)
            raise ProviderError(FailureKind.TIMEOUT, told, cost_usd=cost) from None
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
