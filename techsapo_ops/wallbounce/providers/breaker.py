"""Circuit breaker: a provider that keeps failing, or that refuses its key, is left alone for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from math import inf
from typing import Literal

from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.providers.failures import (
    LASTING,
    Cause,
    FailureKind,
    NotAskedError,
    ProviderError,
    advice,
)

State = Literal["closed", "open", "half-open"]
SICK = frozenset({FailureKind.UNAVAILABLE, FailureKind.TIMEOUT})
"""Failures that count. A refusal, a rate limit or an unreadable answer comes from a provider that is up."""
MAX_COOLDOWN = 300.0
REST = 300.0
"""Cool-down, in seconds, after a cause that does not pass by itself: somebody has to act first."""


class CircuitOpen(ProviderError):
    """The breaker let no call through; `retry_after` says when the next one may be."""


class Breaker:
    """The breaker of one model of one provider. All of it runs on one event loop, so it needs no lock.

    `failures` in a row open it. While it is open every call fails at once; after `cooldown` seconds one
    call, the probe, is let through: it closes the breaker or opens it for twice as long (at most
    MAX_COOLDOWN). A failure whose cause lasts (a refused key, no credit, a model that is gone) opens it at
    once, for REST. `clock` counts seconds.
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
        self._limit = failures
        self._first_cooldown = cooldown
        self._clock = clock
        self._failed = 0
        self._cooldown = cooldown
        self._cause: Cause | None = None
        self._last: Cause | None = None
        self._opened_at: float | None = None
        self._retry_at = 0.0
        self._probing = False
        self._turn = 0

    @property
    def state(self) -> State:
        """Open until the cool-down is over, then half-open until the probe has ended."""
        if self._opened_at is None:
            return "closed"
        return "open" if self._clock() < self._retry_at else "half-open"

    @property
    def failed(self) -> int:
        """Failures in a row."""
        return self._failed

    @property
    def cause(self) -> Cause | None:
        """The lasting cause for which it opened; None where it opened for failures in a row, or is closed."""
        return self._cause

    @property
    def retry_in(self) -> float:
        """Seconds until the next call is let through, 0 where it may be now."""
        return 0.0 if self._opened_at is None else max(self._retry_at - self._clock(), 0.0)

    def admit(self, due: float = inf) -> Permit:
        """Permission for one call, whose end it records. Raises CircuitOpen while there is none.

        A call that is cancelled at `due` (in the event loop's time), or later, was too late.
        """
        state = self.state
        if state == "open" or self._probing:
            raise self._refusal(max(self.retry_in, 1.0))
        self._probing = state == "half-open"
        return Permit(self, self._turn, self._probing, due)

    def _refusal(self, wait: float) -> CircuitOpen:
        then = msg("next try in {wait:.0f} s", wait=wait)
        if self._cause is None:
            last = advice(self._last or Cause.SERVER)
            message = msg(
                "paused after {failed} failures in a row: {what}; {then}. To do: {do}",
                failed=self._failed,
                what=last.what,
                then=then,
                do=last.do,
            )
            return CircuitOpen(FailureKind.UNAVAILABLE, message, cause=self._last, retry_after=wait)
        said = advice(self._cause)
        passes = None if said.kind is FailureKind.REFUSED else wait
        return CircuitOpen(
            said.kind, msg("{what}; {then}", what=said.what, then=then), cause=self._cause, retry_after=passes
        )

    def _ended(self, turn: int, probe: bool, sick: bool | None, cause: Cause | None = None) -> None:
        """Take in how a call ended; `sick` is None where nothing was learnt."""
        if turn != self._turn:  # began before the breaker changed its mind: stale
            return
        if probe:
            self._probing = False
        if sick is None:
            return
        if sick:
            self._failed += 1
            self._last = cause
            if probe or cause in LASTING or self._failed >= self._limit:
                self._open(cause if cause in LASTING else None, again=probe)
        else:
            self._failed = 0
            if probe:
                self._close()

    def _open(self, cause: Cause | None, *, again: bool) -> None:
        now = self._clock()
        first, most = (self._first_cooldown, MAX_COOLDOWN) if cause is None else (REST, REST)
        again_so = again and (cause is None) is (self._cause is None)
        self._cooldown = min(self._cooldown * 2, most) if again_so else first
        self._cause = cause
        self._retry_at = now + self._cooldown
        self._turn += 1
        if not again:
            self._opened_at = now

    def _close(self) -> None:
        self._opened_at = self._cause = None
        self._turn += 1


class Permit:
    """One call that a breaker let through. As a context manager it learns by itself how the call ended."""

    __slots__ = ("_breaker", "_due", "_probe", "_turn")

    def __init__(self, breaker: Breaker, turn: int, probe: bool, due: float) -> None:
        self._breaker = breaker
        self._turn = turn
        self._probe = probe
        self._due = due

    def __enter__(self) -> None:
        """The call begins."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """The call ended so."""
        if error is None:
            self.ended(None)
        elif isinstance(error, ProviderError) and not isinstance(error, NotAskedError):
            self.ended(error.kind, error.cause)
        elif not isinstance(error, ProviderError) and asyncio.get_running_loop().time() >= self._due:
            self.ended(FailureKind.TIMEOUT)
        else:
            self.given_up()

    def ended(self, failure: FailureKind | None, cause: Cause | None = None) -> None:
        """The provider answered (None), or failed this way."""
        sick = failure is not None and (failure in SICK or cause in LASTING)
        self._breaker._ended(self._turn, self._probe, sick, cause)

    def given_up(self) -> None:
        """The caller left; nothing was learnt, and a probe may be tried again."""
        self._breaker._ended(self._turn, self._probe, None)
