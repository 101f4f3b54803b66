"""Which providers of the spec can be used here, and why others can't."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from techsapo_ops.errors import OpsError
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.app import (
    CompatibleProvider,
    OpenAIProvider,
    SimulatedProvider,
)
from techsapo_ops.spec.models.app import Provider as ProviderSpec
from techsapo_ops.wallbounce.analysis import TierRule
from techsapo_ops.wallbounce.model import TaskType
from techsapo_ops.wallbounce.provider import WORST_CASE, Price, Provider
from techsapo_ops.wallbounce.providers.openai import OpenAICompatible
from techsapo_ops.wallbounce.providers.simulated import Simulated

UNUSED_SIMULATION = "not used: real providers are configured, and the two never mix"


@dataclass(frozen=True, slots=True)
class Registry:
    """The providers in use, in the spec's order, and the reason by name for each that is not."""

    usable: tuple[Provider, ...]
    unavailable: Mapping[str, str] = field(default_factory=dict)

    @property
    def simulated(self) -> bool:
        """Whether answers come from simulation."""
        return any(p.kind == "simulated" for p in self.usable)


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


def _make(name: str, provider: ProviderSpec, spec: Spec, real: bool) -> Provider | str:
    if isinstance(provider, SimulatedProvider):
        return UNUSED_SIMULATION if real else Simulated(name, provider)
    if not isinstance(provider, OpenAIProvider | CompatibleProvider):
        return f"kind {provider.kind} is not part of this version; use openai or openai-compatible"
    if isinstance(provider, OpenAIProvider) and provider.api_key is None and provider.base_url is None:
        return f"no key; set providers.{name}.api_key or api_key_file"
    if provider.price is not None:
        price = Price(provider.price.input, provider.price.output)
    elif spec.budget.unknown_price == "reserve":
        price = WORST_CASE
    else:
        return (
            f"its price is unknown; set providers.{name}.price "
            "(0 for a local model), or budget.unknown_price: reserve"
        )
    return OpenAICompatible(name, provider, price)
