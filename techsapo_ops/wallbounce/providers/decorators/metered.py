"""Pays for a provider's calls."""

from __future__ import annotations

import asyncio

from typing_extensions import override

from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.context import CUT_OFF
from techsapo_ops.wallbounce.events import Charge, Charged
from techsapo_ops.wallbounce.providers.asks import Ask, Reply
from techsapo_ops.wallbounce.providers.failures import ProviderError
from techsapo_ops.wallbounce.providers.provider import Decorator
from techsapo_ops.wallbounce.providers.worst_cases import worst_of_ask


class Metered(Decorator):
    """`inner` whose calls are paid by the analysis's payer, at the worst case until they end.

    The time that they take counts as wait for a vendor.

    Its place is within the retries: a vendor may bill attempts that fail, and what is set aside for a call is
    what one attempt can cost.
    """

    @override
    async def call(self, ask: Ask) -> Reply:
        payer, wait = ask.context.payer, ask.context.wait
        if payer is None:
            with wait.lasts():
                return await self.inner.call(ask)
        held = await payer.hold(worst_of_ask(self.inner, ask))
        cost: float | None = None
        status, tokens, taken = CUT_OFF, Tokens(), 0.0
        started = asyncio.get_running_loop().time()
        try:
            with wait.lasts():
                reply = await self.inner.call(ask)
        except ProviderError as error:
            cost, status, tokens = error.cost_usd, str(error.kind), error.tokens
            raise
        else:
            cost, status, tokens, taken = reply.cost_usd, "success", reply.tokens, reply.seconds
            return reply
        finally:
            seconds = taken or asyncio.get_running_loop().time() - started
            charge = Charge(self.name, self.model, ask.phase, status, cost, tokens, seconds)
            payer.book(held, charge)
            ask.context.tell(Charged(ask.question.request_id, ask.context.task_type, charge))
