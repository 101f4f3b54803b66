"""Tells how long a vendor was waited for."""

from __future__ import annotations

from typing_extensions import override

from techsapo_ops.wallbounce.asks import Ask, Reply
from techsapo_ops.wallbounce.provider import Decorator


class Awaited(Decorator):
    """`inner` whose calls count as wait for a vendor in the analysis's context.

    It is the innermost: money is set aside, and a breaker asked, before the vendor is.
    """

    @override
    async def call(self, ask: Ask) -> Reply:
        with ask.context.wait.lasts():
            return await self.inner.call(ask)
