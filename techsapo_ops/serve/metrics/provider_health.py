"""How the providers in use do: failures in a row, breakers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

from techsapo_ops.catalogue.vendors import Vendor, vendor_of
from techsapo_ops.messages import msg
from techsapo_ops.serve.metrics.registry import Sample
from techsapo_ops.serve.metrics.windows import Mean
from techsapo_ops.wallbounce.calls import Turn
from techsapo_ops.wallbounce.events import Phase
from techsapo_ops.wallbounce.providers.breaker import Breaker, State
from techsapo_ops.wallbounce.providers.failures import (
    DOUBTFUL,
    LASTING,
    NOT_ITS_OWN,
    Cause,
    Failure,
    FailureKind,
    advice,
)
from techsapo_ops.wallbounce.providers.provider import Provider

DOWN = 2
"""Failures in a row from which a provider counts as down: one alone may be a hiccup."""
REFUSING = 5
"""Refusals in a row from which it does, where a question could have brought about one, and rate limits."""
_PATIENCE = DOUBTFUL | {Cause.RATE}
"""Causes that say little when they come once: a provider that limits the rate is there, and answers soon."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a provider does: whether it is `up`, and if not, why as far as it is known.

    `next_try` says in how many seconds it is asked again, 0 where the next question may.
    """

    up: bool = True
    cause: Cause | None = None
    next_try: float = 0.0

    @property
    def turn(self) -> Turn:
        """Whether it may be asked now."""
        if self.up:
            return Turn.WELL
        return Turn.RESTING if self.next_try else Turn.DUE

    @property
    def detail(self) -> str | None:
        """What is the matter, and when it is asked again; None where it is up."""
        if self.up or self.cause is None:
            return None
        said = advice(self.cause)
        return msg("{what}; {then}. To do: {do}", what=said.what, then=self._then, do=said.do)

    @property
    def _then(self) -> str:
        return (
            msg("next try in {next_try:.0f} s", next_try=self.next_try)
            if self.next_try
            else msg("the next question tries it")
        )


@dataclass(slots=True)
class _Provider:
    vendor: Vendor
    failures: int = 0
    doubtful: int = 0
    cause: Cause | None = None
    """Of the last failure that was its own; None once it has answered."""


class ProviderHealth:
    """What this instance knows of its providers. `clock` counts seconds.

    What went wrong is forgotten when a provider answers, and not by time: nothing else shows that it is well.
    """

    def __init__(self, providers: Sequence[Provider], clock: Callable[[], float] = time.monotonic) -> None:
        self._providers = {p.name: _Provider(vendor_of(p.kind, p.name)) for p in providers}
        self._success: dict[str, Mean] = {p.vendor.title: Mean(clock) for p in self._providers.values()}
        self._breakers: tuple[Breaker, ...] = ()

    def watch(self, breakers: Sequence[Breaker]) -> None:
        """Let `breakers` have a say in who is up."""
        self._breakers = tuple(breakers)

    def answered(self, provider: str) -> None:
        """A call was answered."""
        known = self._providers[provider]
        known.failures = known.doubtful = 0
        known.cause = None
        self._success[known.vendor.title].add(1)

    def failed(self, failure: Failure, phase: Phase = "answer") -> None:
        """A call failed. Grades or a revision that can't be read come from a provider that is up."""
        known, cause = self._providers[failure.provider], failure.cause
        self._success[known.vendor.title].add(0)
        if cause in NOT_ITS_OWN or (phase != "answer" and failure.kind is FailureKind.BAD_ANSWER):
            return
        known.failures += cause not in _PATIENCE
        known.doubtful += cause in _PATIENCE
        if known.cause not in LASTING or cause in LASTING:
            known.cause = cause

    def standing(self, provider: str) -> Standing:
        """How `provider` does."""
        known, breaker = self._providers[provider], self._breaker(provider)
        wait = breaker.retry_in if breaker is not None else 0.0
        cause = breaker.cause if breaker is not None and breaker.cause is not None else known.cause
        down = (
            cause in LASTING
            or known.failures >= DOWN
            or known.doubtful >= REFUSING
            or (breaker is not None and breaker.state != "closed")
        )
        return Standing(not down, (cause or Cause.SERVER) if down else None, wait)

    def vendor(self, provider: str) -> str:
        """What the guide's cost metric calls the provider."""
        return self._providers[provider].vendor.label

    def vendors(self) -> Iterable[str]:
        """Every vendor, as `vendor` names it, once."""
        return dict.fromkeys(known.vendor.label for known in self._providers.values())

    def success(self) -> Iterable[Sample]:
        """Share of successful calls of the last five minutes by vendor."""
        for title, mean in self._success.items():
            value = mean.value()
            if value is not None:
                yield {"provider": title}, value

    def consecutive_failures(self) -> Iterable[Sample]:
        """Failures in a row by provider, without rate limits and what a question could have brought about."""
        for name, known in self._providers.items():
            yield {"provider": name}, known.failures

    def up(self) -> Iterable[Sample]:
        """1 or 0 by provider."""
        for name in self._providers:
            yield {"provider": name}, float(self.standing(name).up)

    def refusing(self) -> Iterable[Sample]:
        """1 for each provider that refuses whatever it is asked, with the cause."""
        for name, known in self._providers.items():
            standing = self.standing(name)
            if standing.cause in LASTING or known.doubtful >= REFUSING:
                yield {"provider": name, "cause": str(standing.cause)}, 1.0

    def breaker_states(self) -> Iterable[Sample]:
        """1 for the state that each breaker is in, 0 for the others."""
        for breaker in self._breakers:
            now = breaker.state
            for state in get_args(State):
                labels = {"provider": breaker.provider, "model": breaker.model, "state": state}
                yield labels, float(state == now)

    def _breaker(self, provider: str) -> Breaker | None:
        return next((b for b in self._breakers if b.provider == provider), None)
