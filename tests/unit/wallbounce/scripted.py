"""Providers for tests of the orchestrator: each does what its script says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from techsapo_ops.wallbounce.analysis import TierRule, WallBounce
from techsapo_ops.wallbounce.events import Event
from techsapo_ops.wallbounce.model import Answer, Question, Tokens
from techsapo_ops.wallbounce.provider import Price

Script = Callable[[], Awaitable[str]]


class Scripted:
    """Answers with what `script` returns; remembers whether it was cancelled."""

    kind = "simulated"
    model = "scripted"
    max_output_tokens = 1000

    def __init__(self, name: str, script: Script | str, *, timeout: float = 5.0) -> None:
        self.name = name
        self.timeout = timeout
        self.price = Price(1.0, 10.0)
        self.cancelled = False
        self.closed = False
        self._script = script

    async def answer(self, question: Question) -> Answer:
        try:
            text = self._script if isinstance(self._script, str) else await self._script()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        tokens = Tokens(10, len(text))
        return Answer(self.name, self.model, text, tokens, 0.01, self.price.cost(tokens), 0.9)

    async def close(self) -> None:
        self.closed = True


def orchestrator(
    *providers: Scripted, wanted: int | None = None, per_request_usd: float | None = None
) -> tuple[WallBounce, list[Event]]:
    """An orchestrator whose tiers all take `wanted` providers, and the events that it tells."""
    events: list[Event] = []
    rule = TierRule(wanted or len(providers), 0.7, 0.6)
    tiers = {"basic": rule, "premium": rule, "critical": rule}
    return WallBounce(providers, tiers, per_request_usd=per_request_usd, observers=(events.append,)), events


async def never() -> str:
    """A call that does not come back."""
    await asyncio.Event().wait()
    return ""
