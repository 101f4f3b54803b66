"""The kinds of providers: the class behind each name in the spec."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from techsapo_ops.wallbounce.providers.anthropic import Anthropic
from techsapo_ops.wallbounce.providers.chat import Compatible, OpenRouter
from techsapo_ops.wallbounce.providers.claude_agent import Agent
from techsapo_ops.wallbounce.providers.google import Google
from techsapo_ops.wallbounce.providers.listed import NO_LIST, Listed
from techsapo_ops.wallbounce.providers.openai import OpenAI
from techsapo_ops.wallbounce.providers.provider import WORST_CASE, Price, Provider
from techsapo_ops.wallbounce.providers.simulated import Simulated


class ProviderKind(Protocol):
    """The class of a kind, which makes a provider of its name, its section of the spec and its price.

    A library behind it is imported when it is first used.
    """

    kind: str

    def __call__(self, name: str, spec: Any, price: Price) -> Provider: ...

    def lacks(self, name: str, spec: Any, /) -> str | None:
        """Why a call can't be made at all, None where it can."""
        ...

    def usual_price(self, spec: Any, /) -> Price | None:
        """The price of tokens where the spec gives none; None where it is not known."""
        ...


_CLASSES: tuple[ProviderKind, ...] = (Simulated, OpenAI, Compatible, Google, Anthropic, Agent, OpenRouter)
KINDS: dict[str, ProviderKind] = {each.kind: each for each in _CLASSES}


async def listed_model(name: str, spec: Any) -> Listed:
    """What the vendor's list of models says of the model of a provider's section of the spec.

    One GET, which costs nothing. Raises ProviderError, which says why the list was not read.
    """
    provider = KINDS[spec.kind](name, spec, WORST_CASE)
    ask: Callable[[], Awaitable[Listed]] | None = getattr(provider, "listed", None)
    return NO_LIST if ask is None else await ask()
