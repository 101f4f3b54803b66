"""Which providers of the spec can be used here, and why others can't."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING

from techsapo_ops.errors import OpsError
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.app import (
    AgentProvider,
    AnthropicProvider,
    CompatibleProvider,
    OpenAIProvider,
    OpenRouterProvider,
    SimulatedProvider,
)
from techsapo_ops.spec.models.app import Provider as ProviderSpec
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.wallbounce.breaker import Breaker
from techsapo_ops.wallbounce.events import Observer
from techsapo_ops.wallbounce.guard import Guarded
from techsapo_ops.wallbounce.prices import list_price
from techsapo_ops.wallbounce.provider import WORST_CASE, Price, Provider
from techsapo_ops.wallbounce.providers.simulated import Simulated
from techsapo_ops.wallbounce.retry import RetryPolicy
from techsapo_ops.wallbounce.tiers import TaskType, TierRule

if TYPE_CHECKING:
    from techsapo_ops.wallbounce.providers.base import VendorSpec

UNUSED_SIMULATION = "not used: real providers are configured, and the two never mix"
SUBSCRIPTION = Price(0.0, 0.0, source="subscription")
AGENT_MISSING = "the Claude Agent SDK is not installed; pip install 'techsapo-ops[claude-agent]'"


@dataclass(frozen=True, slots=True)
class Registry:
    """The providers in use, in the spec's order, and the reason by name for each that is not."""

    usable: tuple[Provider, ...]
    unavailable: Mapping[str, str] = field(default_factory=dict)

    @property
    def simulated(self) -> bool:
        """Whether answers come from simulation."""
        return any(p.kind == "simulated" for p in self.usable)

    @property
    def breakers(self) -> tuple[Breaker, ...]:
        """The breakers of the providers in use; simulated ones have none."""
        return tuple(p.breaker for p in self.usable if isinstance(p, Guarded))

    def observe(self, observer: Observer) -> None:
        """Let `observer` hear of breakers that open and close."""
        for breaker in self.breakers:
            breaker.listeners.append(observer)

    async def warm(self) -> None:
        """Import what the first questions need, one vendor after the other, each in a thread."""
        for provider in self.usable:
            await provider.warm()

    async def close(self) -> None:
        """Close every provider's connections."""
        await asyncio.gather(*(provider.close() for provider in self.usable))


def build_registry(spec: Spec, disabled: Mapping[str, str]) -> Registry:
    """Make the providers of `spec`; `disabled` holds those that the loader already left out.

    Simulated providers answer only while no real one is enabled. Raises OpsError when no provider is left.
    """
    unavailable = dict(disabled)
    enabled = {}
    for name, provider in spec.providers.items():
        if provider.enabled:
            enabled[name] = provider
        else:
            unavailable[name] = "disabled in the spec"
    real = any(not isinstance(p, SimulatedProvider) for p in enabled.values())
    usable: list[Provider] = []
    for name, provider in enabled.items():
        made = _make(name, provider, spec, real)
        if isinstance(made, str):
            unavailable[name] = made
        else:
            usable.append(made)
    if not usable:
        told = "; ".join(f"{name}: {reason}" for name, reason in unavailable.items()) or "the spec lists none"
        raise OpsError(
            f"no provider can be used ({told})",
            "enable one under `providers`, or remove the section to try simulated providers",
        )
    return Registry(tuple(usable), unavailable)


def tier_rules(spec: Spec) -> dict[TaskType, TierRule]:
    """The rule of each task type, from `wallbounce` in the spec."""
    tiers, consensus = spec.wallbounce.tiers, spec.wallbounce.consensus
    return {
        "basic": TierRule(tiers.basic.providers, tiers.basic.confidence, consensus),
        "premium": TierRule(tiers.premium.providers, tiers.premium.confidence, consensus),
        "critical": TierRule(tiers.critical.providers, tiers.critical.confidence, consensus),
    }


def worth_asking(provider: Provider) -> bool:
    """Whether a call may get through now: not while its breaker is open."""
    return not isinstance(provider, Guarded) or provider.breaker.state != "open"


def price_of(provider: VendorSpec, unknown: str) -> Price | None:
    """The spec's price, else the vendor's list price, else the worst case if `unknown` is "reserve"; or None.

    A vendor's list price does not hold at another `base_url`'s own models, but it is the best that is known.
    """
    if provider.price is not None:
        return Price(provider.price.input, provider.price.output)
    if isinstance(provider, AgentProvider):
        return SUBSCRIPTION
    found = None
    if not isinstance(provider, CompatibleProvider):
        found = list_price(provider.kind, provider.model)
    if found is None and unknown == "reserve":
        return WORST_CASE
    return found


def _make(name: str, provider: ProviderSpec, spec: Spec, real: bool) -> Provider | str:
    if isinstance(provider, SimulatedProvider):
        return UNUSED_SIMULATION if real else Simulated(name, provider)
    lack = _lack(name, provider)
    if lack is not None:
        return lack
    price = price_of(provider, spec.budget.unknown_price)
    if price is None:
        return (
            f"its price is unknown; set providers.{name}.price "
            "(0 for a local model), or budget.unknown_price: reserve"
        )
    rules = spec.wallbounce.breaker
    breaker = Breaker(name, provider.model, failures=rules.failures, cooldown=seconds(rules.cooldown))
    return Guarded(_vendor(name, provider, price), breaker, RetryPolicy(attempts=provider.attempts))


def _lack(name: str, provider: VendorSpec) -> str | None:
    """What keeps a call from being made at all: no key where one is needed, or no SDK; None where nothing."""
    if isinstance(provider, AgentProvider):
        return AGENT_MISSING if find_spec("claude_agent_sdk") is None else None
    own_address = isinstance(provider, CompatibleProvider) or (
        not isinstance(provider, OpenRouterProvider) and provider.base_url is not None
    )
    if provider.api_key is None and not own_address:
        return f"no key; set providers.{name}.api_key or api_key_file"
    return None


def _vendor(name: str, provider: VendorSpec, price: Price) -> Provider:
    """The vendor's class; its module is imported now, the SDK behind it when it is first used."""
    if isinstance(provider, CompatibleProvider):
        from techsapo_ops.wallbounce.providers.openai_compatible import Compatible

        return Compatible(name, provider, price)
    if isinstance(provider, OpenAIProvider):
        from techsapo_ops.wallbounce.providers.openai import OpenAI

        return OpenAI(name, provider, price)
    if isinstance(provider, OpenRouterProvider):
        from techsapo_ops.wallbounce.providers.openrouter import OpenRouter

        return OpenRouter(name, provider, price)
    if isinstance(provider, AnthropicProvider):
        from techsapo_ops.wallbounce.providers.anthropic import Anthropic

        return Anthropic(name, provider, price)
    if isinstance(provider, AgentProvider):
        from techsapo_ops.wallbounce.providers.claude_agent import Agent

        return Agent(name, provider, price)
    from techsapo_ops.wallbounce.providers.google import Google

    return Google(name, provider, price)
