"""What the health endpoint says of the providers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from techsapo_ops.serve.bodies.health import BreakerBody, PriceBody, ProviderHealthBody
from techsapo_ops.serve.provider_health import Standing
from techsapo_ops.wallbounce.causes import advice
from techsapo_ops.wallbounce.provider import Provider
from techsapo_ops.wallbounce.registry import Registry
from techsapo_ops.wallbounce.seats import Turn

FEWEST = 2
"""Providers without which answers can't be compared."""


class ProviderReport:
    """The providers of `registry`, each with its standing."""

    def __init__(self, registry: Registry, standing: Callable[[str], Standing]) -> None:
        self._registry = registry
        self._standing = standing

    @property
    def usable(self) -> bool:
        """Whether the spec has any that can be used at all."""
        return bool(self._registry.usable)

    @property
    def simulated(self) -> bool:
        """Whether answers come from simulation."""
        return self._registry.simulated

    def bodies(self) -> Mapping[str, ProviderHealthBody]:
        """What is told of each, of those that can't be used the reason alone."""
        told = {p.name: self._body(p) for p in self._registry.usable}
        for name, reason in self._registry.unavailable.items():
            told[name] = ProviderHealthBody(status="unavailable", detail=reason)
        return told

    def ailing(self) -> bool:
        """Whether one is down, or fewer are there than an analysis needs."""
        up = [self._standing(p.name).up for p in self._registry.usable]
        return not all(up) or len(up) < FEWEST

    def silent(self) -> bool:
        """Whether none can answer now: every one is down and left alone."""
        standings = [self._standing(p.name) for p in self._registry.usable]
        return all(each.turn is Turn.RESTING for each in standings)

    def _body(self, provider: Provider) -> ProviderHealthBody:
        """How it does, its price (USD per million tokens) and where that is from."""
        price, standing = provider.price, self._standing(provider.name)
        body = ProviderHealthBody(
            status="available",
            kind=provider.kind,
            model=provider.model,
            price=PriceBody(input=price.input, output=price.output, source=price.source, known=price.known),
        )
        breaker = self._registry.breaker_of(provider)
        if breaker is not None:
            body.breaker = BreakerBody(state=breaker.state, failures=breaker.failed)
        if standing.cause is not None:
            body.status = "down"
            body.cause, body.what_to_do = str(standing.cause), advice(standing.cause).do
            body.next_try_seconds = round(standing.next_try)
            body.detail = standing.detail
            if breaker is not None and breaker.state == "open" and breaker.cause is None:
                body.status = "open"
                body.detail = f"left alone after {breaker.failed} failures in a row: {standing.detail}"
        return body
