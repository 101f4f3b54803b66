"""Circuit breaker: a provider that keeps failing is left alone for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from techsapo_ops.wallbounce.events import BreakerClosed, BreakerOpened
from techsapo_ops.wallbounce.failures import FailureKind, ProviderError

State = Literal["closed", "open", "half-open"]
Listener = Callable[[BreakerOpened | BreakerClosed], None]
SICK = frozenset({FailureKind.UNAVAILABLE, FailureKind.TIMEOUT})
"""Failures that count. A refusal, a rate limit or an unreadable answer comes from a provider that is up."""
MAX_COOLDOWN = 300.0


class CircuitOpen(ProviderError):
    """The breaker let no call through; `retry_after` says when the next one may be."""


class Breaker:
    """The breaker of one model of one provider. All of it runs on one event loop, so it needs no lock.

    `failures` in a row open it. While it is open every call fails at once; after `cooldown` seconds one
    call, the probe, is let through: it closes the breaker or opens it for twice as long (at most
    MAX_COOLDOWN). `clock` counts seconds.
    """

    def __init__(
        self,
        provider: str,
        model: str,
        *,
        failures: int = 5,
        cooldown: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.provider = provider
        self.model = model
        self.listeners: list[Listener] = []
        self._limit = failures
        self._first_cooldown = cooldown
        self._clock = clock
        self._failed = 0
        self._cooldown = cooldown
        self._opened_at: float | None = None
        self._retry_at = 0.0
        self._probing = False
        self._turn = 0

    @property
    def state(self) -> State:
        """Open until the cool-down is over, then half-open until the probe has told."""
        if self._opened_at is None:
            return "closed"
        return "open" if self._clock() < self._retry_at else "half-open"

    @property
    def failed(self) -> int:
        """Failures in a row."""
        return self._failed

    @property
    def retry_in(self) -> float:
        """Seconds until the next call is let through, 0 where it may be now."""
        return 0.0 if self._opened_at is None else max(self._retry_at - self._clock(), 0.0)

    def admit(self) -> Permit:
        """Permission for one call, to be told how it ended. Raises CircuitOpen while there is none."""
        state = self.state
        if state == "open" or self._probing:
            wait = max(self.retry_in, 1.0)
            raise CircuitOpen(
                FailureKind.UNAVAILABLE,
                f"left alone after {self._failed} failures in a row; next try in {wait:.0f} s",
                retry_after=wait,
            )
        self._probing = state == "half-open"
        return Permit(self, self._turn, self._probing)

    def _ended(self, turn: int, probe: bool, sick: bool | None) -> None:
        """Take in how a call ended; `sick` is None where nothing was learnt."""
        if turn != self._turn:  # began before the breaker changed its mind: stale
            return
        if probe:
            self._probing = False
        if sick is None:
            return
        if sick:
            self._failed += 1
            if probe or self._failed >= self._limit:
                self._open(again=probe)
        else:
            self._failed = 0
            if probe:
                self._close()

    def _open(self, *, again: bool) -> None:
        now = self._clock()
        self._cooldown = min(self._cooldown * 2, MAX_COOLDOWN) if again else self._first_cooldown
        self._retry_at = now + self._cooldown
        self._turn += 1
        if not again:
            self._opened_at = now
        self._tell(BreakerOpened(self.provider, self.model, self._failed, self._cooldown))

    def _close(self) -> None:
        since, self._opened_at = self._opened_at, None
        self._turn += 1
        self._tell(BreakerClosed(self.provider, self.model, self._clock() - (since or 0.0)))

    def _tell(self, event: BreakerOpened | BreakerClosed) -> None:
        for listener in self.listeners:
            listener(event)


class Permit:
    """One call that a breaker let through."""

    __slots__ = ("_breaker", "_probe", "_turn")

    def __init__(self, breaker: Breaker, turn: int, probe: bool) -> None:
        self._breaker = breaker
        self._turn = turn
        self._probe = probe

    def ended(self, failure: FailureKind | None) -> None:
        """The provider answered (None), or failed this way."""
        self._breaker._ended(self._turn, self._probe, failure in SICK)

    def given_up(self) -> None:
        """The caller left; nothing was learnt, and a probe may be tried again."""
        self._breaker._ended(self._turn, self._probe, None)
