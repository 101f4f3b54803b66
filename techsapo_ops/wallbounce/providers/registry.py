"""Which providers of the spec can be used here, and why others can't."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.spec.models.providers import ModelProvider
from techsapo_ops.spec.providers import answer_length
from techsapo_ops.wallbounce.providers.anthropic import Agent, Anthropic
from techsapo_ops.wallbounce.providers.breaker import Breaker
from techsapo_ops.wallbounce.providers.google import Google
from techsapo_ops.wallbounce.providers.guarded import Guarded
from techsapo_ops.wallbounce.providers.openai import Compatible, OpenAI, OpenRouter
from techsapo_ops.wallbounce.providers.prices import priced
from techsapo_ops.wallbounce.providers.provider import SIMULATED, WORST_CASE, Price, Provider
from techsapo_ops.wallbounce.providers.reading import NO_LIST, Listed
from techsapo_ops.wallbounce.providers.simulated import Simulated

log = logging.getLogger("techsapo.providers")

CLOSE_TIMEOUT = 5.0
"""Seconds that providers get to give their connections back."""
UNUSED_SIMULATION = msg("not used: real and simulated providers are never mixed")


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


@dataclass(frozen=True, slots=True)
class Registry:
    """The providers in use, in the spec's order, and the reason by name for each that is not."""

    usable: tuple[Guarded, ...]
    unavailable: Mapping[str, str] = field(default_factory=dict)

    @property
    def breakers(self) -> tuple[Breaker, ...]:
        """Those of the providers in use; a simulated one has none."""
        return tuple(provider.breaker for provider in self.usable if provider.breaker is not None)

    @property
    def simulated(self) -> bool:
        """Whether answers come from simulation."""
        return any(p.kind == SIMULATED for p in self.usable)

    async def warm(self) -> None:
        """Import what the first questions need, one vendor after the other, each in a thread."""
        for provider in self.usable:
            await provider.warm()

    async def close(self) -> None:
        """Close every provider's connections; of one that fails to, or takes too long, the log tells."""
        closing = [asyncio.create_task(p.close(), name=p.name) for p in self.usable]
        done, late = await asyncio.wait(closing, timeout=CLOSE_TIMEOUT)
        for task in late:
            extra = {"provider": task.get_name()}
            log.warning("A provider did not close its connections in time", extra=extra)
        for task in done:
            if (error := task.exception()) is not None:
                extra = {"provider": task.get_name(), "error": repr(error)}
                log.warning("A provider could not be closed", extra=extra)


def build_registry(spec: Spec, disabled: Mapping[str, str]) -> Registry:
    """The same as `look_up`. Raises OpsError when no provider is left."""
    registry = look_up(spec, disabled)
    if (error := no_provider(registry)) is not None:
        raise error
    return registry


def no_provider(registry: Registry) -> OpsError | None:
    """That no provider is left, and why none can be used; None where one can."""
    if registry.usable:
        return None
    reasons = joined(
        "; ", (msg("{name}: {reason}", name=n, reason=reason) for n, reason in registry.unavailable.items())
    )
    return OpsError(
        msg("no provider can be used ({reasons})", reasons=reasons or msg("the spec lists no provider")),
        msg("enable a provider under `providers`, or remove that section to try simulated providers"),
    )


def look_up(spec: Spec, disabled: Mapping[str, str]) -> Registry:
    """Make the providers of `spec`; `disabled` holds those that the loader already left out.

    Simulated providers answer only while no real one is enabled.
    """
    unavailable = dict(disabled)
    enabled = [section for section in spec.providers.values() if section.enabled]
    real = any(not section.simulated for section in enabled)
    usable: list[Guarded] = []
    for name, section in spec.providers.items():
        made = _made(name, section, spec, real) if section.enabled else "disabled in the spec"
        if isinstance(made, str):
            unavailable[name] = made
        else:
            usable.append(made)
    return Registry(tuple(usable), unavailable)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a provider is made from, once it is known that it can be called."""

    name: str
    section: Any
    price: Price
    kind: ProviderKind

    def make(self, **changes: Any) -> Provider:
        """The provider, of its kind alone: no retries, no breaker. `changes` are fields of its section."""
        section = self.section.model_copy(update=changes) if changes else self.section
        return self.kind(self.name, section, self.price)


def recipe(name: str, section: Any) -> Recipe | str:
    """How the provider of `section` is made; else why it can't be used."""
    kind = KINDS[section.kind]
    lack = kind.lacks(name, section)
    if lack is not None:
        return lack
    price = priced(section.price) if section.price is not None else kind.usual_price(section)
    if price is None:
        return msg("its price is unknown; set providers.{name}.price (0 for a local model)", name=name)
    if isinstance(section, ModelProvider):
        section = section.model_copy(update={"max_output_tokens": answer_length(section)})
    return Recipe(name, section, price, kind)


def _made(name: str, section: Any, spec: Spec, real: bool) -> Guarded | str:
    """The provider of `section`, which its kind alone knows, as it is asked; else why it can't be used."""
    if section.simulated and real:
        return UNUSED_SIMULATION
    usable = recipe(name, section)
    if isinstance(usable, str):
        return usable
    made, rules = usable.make(), spec.wallbounce.breaker
    if section.simulated:
        return Guarded(made)
    breaker = Breaker(name, made.model, failures=rules.failures, cooldown=seconds(rules.cooldown))
    return Guarded(made, breaker)
