"""How the providers in use do: failures in a row, breakers, and when their models end."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from typing import Any, get_args

import structlog

from techsapo_ops.catalogue.vendors import End, Vendor, vendor_of
from techsapo_ops.messages import msg
from techsapo_ops.serve.metrics.registry import Mean, Sample
from techsapo_ops.spec.models.providers import ModelProvider
from techsapo_ops.spec.models.providers import Provider as Section
from techsapo_ops.spec.providers import announced_end
from techsapo_ops.wallbounce.calls import Turn
from techsapo_ops.wallbounce.context import Phase
from techsapo_ops.wallbounce.providers.breaker import Breaker, State
from techsapo_ops.wallbounce.providers.failures import (
    DOUBTFUL,
    LASTING,
    NOT_ITS_OWN,
    Cause,
    Failure,
    FailureKind,
    ProviderError,
    advice,
)
from techsapo_ops.wallbounce.providers.provider import Provider
from techsapo_ops.wallbounce.providers.reading import Listed

log = structlog.get_logger()

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
            else msg("the next question tries the provider again")
        )


_WELL = Standing()


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
        if (
            known.cause is None
            and not (known.failures or known.doubtful)
            and (breaker is None or breaker.state == "closed")
        ):
            return _WELL  # each question asks it of each provider, several times
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


SOON = 10.0
"""Most seconds after the start until the lists are read: instances that start together ask one by one."""
DAY = 86_400.0

AskList = Callable[[str, Any], Awaitable[Listed]]


class ModelEnds:
    """The ends of the models of `sections`, those of the providers in use by name.

    A vendor that tells ends in its list knows better than the catalogue, as soon as it was asked. A list
    that can't be read changes nothing.
    """

    def __init__(self, sections: Mapping[str, Section], ask: AskList) -> None:
        self._sections = {name: s for name, s in sections.items() if isinstance(s, ModelProvider)}
        self._ask = ask
        self._known: dict[str, End | None] = {name: announced_end(s) for name, s in self._sections.items()}
        self._announced: dict[str, date | None] = {}

    def samples(self) -> Iterable[Sample]:
        """The first moment (UTC) of each known last day, by provider, model and who says so."""
        for name, section in self._sections.items():
            end = self._known[name]
            if name in self._announced:
                day, source = self._announced[name], "vendor"
            elif end is not None:
                day, source = end.retires, "second_hand" if end.source.second_hand else "catalogue"
            else:
                continue
            if day is not None:
                labels = {"provider": name, "model": section.model, "source": source}
                yield labels, datetime.combine(day, time_of_day(), UTC).timestamp()

    async def watch(
        self,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """Read the vendors' lists soon after the start and then once a day, at no fixed hour."""
        await pause(SOON * draw())
        while True:
            for name in self._sections:
                await self.read(name)
            await pause(DAY * (0.9 + 0.2 * draw()))

    async def read(self, name: str) -> None:
        """Read what the vendor's list says of the model of the provider `name`."""
        section = self._sections[name]
        try:
            listed = await self._ask(name, section)
        except ProviderError as error:
            log.info("The vendor's list of models was not read", provider=name, error=error.message)
            return
        if listed.tells_ends:
            self._announced[name] = listed.retires
        if listed.exists is False:
            log.warning(
                "The vendor does not list the model",
                provider=name,
                model=section.model,
                others=list(listed.others),
            )
        elif listed.retires is not None:
            log.info(
                "The vendor retires the model", provider=name, model=section.model, day=str(listed.retires)
            )
