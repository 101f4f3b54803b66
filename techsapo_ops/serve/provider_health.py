"""How the providers in use do: failures in a row, agreement, breakers."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

from techsapo_ops.catalogue.vendors import Vendor, vendor_of
from techsapo_ops.serve.metric_registry import Sample
from techsapo_ops.serve.windows import Mean
from techsapo_ops.wallbounce.breaker import Breaker, State
from techsapo_ops.wallbounce.failures import FailureKind
from techsapo_ops.wallbounce.provider import Provider

FORGOTTEN = 300.0
"""Seconds after which failures say nothing any more about a provider that nobody has asked since."""
DOWN = 2
"""Failures in a row from which a provider counts as down: one alone may be the question's fault."""
_HEALTHY_REFUSAL = frozenset({FailureKind.REFUSED})
"""Failures of a provider that is up: it read the call and did not want it."""


@dataclass(slots=True)
class _Provider:
    vendor: Vendor
    failures: int = 0
    failed_at: float = 0.0


class ProviderHealth:
    """What this instance knows of its providers. `clock` counts seconds."""

    def __init__(self, providers: Sequence[Provider], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._providers = {p.name: _Provider(vendor_of(p.kind, p.name)) for p in providers}
        self._success: dict[str, Mean] = {p.vendor.title: Mean(clock) for p in self._providers.values()}
        self._agreement: defaultdict[str, Mean] = defaultdict(lambda: Mean(clock))
        self._breakers: tuple[Breaker, ...] = ()

    def watch(self, breakers: Sequence[Breaker]) -> None:
        """Let `breakers` have a say in who is up."""
        self._breakers = tuple(breakers)

    def answered(self, provider: str) -> None:
        """A call was answered."""
        known = self._providers[provider]
        known.failures = 0
        self._success[known.vendor.title].add(1)

    def failed(self, provider: str, kind: FailureKind) -> None:
        """A call failed."""
        known = self._providers[provider]
        if kind not in _HEALTHY_REFUSAL:
            known.failures += 1
            known.failed_at = self._clock()
        self._success[known.vendor.title].add(0)

    def agreed(self, pair: str, share: float) -> None:
        """Two providers agreed to this share (0 to 1)."""
        self._agreement[pair].add(share)

    def vendor(self, provider: str) -> str:
        """What the guide's cost metric calls the provider."""
        return self._providers[provider].vendor.label

    def vendors(self) -> Iterable[str]:
        """Every vendor, as `vendor` names it, once."""
        return dict.fromkeys(known.vendor.label for known in self._providers.values())

    def success(self) -> Iterable[Sample]:
        """Share of successful calls of the last five minutes by vendor."""
        return _means("provider", self._success)

    def agreement(self) -> Iterable[Sample]:
        """Mean agreement of the last five minutes by pair."""
        return _means("provider_pair", dict(self._agreement))

    def consecutive_failures(self) -> Iterable[Sample]:
        """Failures in a row by provider."""
        for name, known in self._providers.items():
            old = self._clock() - known.failed_at > FORGOTTEN and not self._open(name)
            yield {"provider": name}, 0 if old else known.failures

    def up(self) -> Iterable[Sample]:
        """1 or 0 by provider."""
        for labels, failures in self.consecutive_failures():
            yield labels, float(failures < DOWN and not self._open(labels["provider"]))

    def breaker_states(self) -> Iterable[Sample]:
        """1 for the state that each breaker is in, 0 for the others."""
        for breaker in self._breakers:
            now = breaker.state
            for state in get_args(State):
                labels = {"provider": breaker.provider, "model": breaker.model, "state": state}
                yield labels, float(state == now)

    def _open(self, provider: str) -> bool:
        return any(b.provider == provider and b.state == "open" for b in self._breakers)


def _means(label: str, means: dict[str, Mean]) -> Iterable[Sample]:
    for name, mean in means.items():
        value = mean.value()
        if value is not None:
            yield {label: name}, value
