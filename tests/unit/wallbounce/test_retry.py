from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rows import each_row
from scripted import Scripted

from techsapo_ops.wallbounce.providers.breaker import CircuitOpen
from techsapo_ops.wallbounce.providers.failures import Cause, FailureKind, ProviderError, advice
from techsapo_ops.wallbounce.providers.guarded import CAP, Guarded, pause_after
from techsapo_ops.wallbounce.providers.provider import AskAnswer
from techsapo_ops.wallbounce.providers.vendor_error import retry_after
from techsapo_ops.wallbounce.question import Question

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


class Upstream:
    """Fails as told, then answers; `waits` are the pauses that were taken."""

    def __init__(self, *failures: ProviderError) -> None:
        self.failures = list(failures)
        self.calls = 0
        self.waits: list[float] = []

    async def call(self) -> str:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return "answer"

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    def run(self, within: float = 60.0) -> Any:
        provider = Scripted("a", self.call, timeout=within)
        provider.attempts = 3
        guarded = Guarded(provider, sleep=self.sleep, draw=lambda: 1.0)
        return asyncio.run(guarded.call(AskAnswer(Question("q", "en"))))


def failure(kind: FailureKind, retry_after: float | None = None) -> ProviderError:
    return ProviderError(kind, "it failed", retry_after=retry_after)


@each_row("kind", [FailureKind.RATE_LIMITED, FailureKind.UNAVAILABLE, FailureKind.TIMEOUT])
def test_passing_failures_are_retried_with_growing_waits(kind: FailureKind) -> None:
    upstream = Upstream(failure(kind), failure(kind))
    assert upstream.run().text == "answer"
    assert upstream.waits == [0.5, 1.0]


@each_row(
    "kind, cause",
    [
        (FailureKind.REFUSED, None),
        (FailureKind.BAD_ANSWER, None),
        *((advice(cause).kind, cause) for cause in (Cause.QUOTA, Cause.MONEY, Cause.KEY)),
    ],
)
def test_failures_that_would_come_again_are_not_retried(kind: FailureKind, cause: Cause | None) -> None:
    upstream = Upstream(ProviderError(kind, "it lasts", cause=cause, retry_after=1))
    with pytest.raises(ProviderError):
        upstream.run(within=3600)
    assert (upstream.calls, upstream.waits) == (1, [])


def test_what_the_provider_asks_for_is_waited_at_least() -> None:
    upstream = Upstream(failure(FailureKind.RATE_LIMITED, 7))
    upstream.run()
    assert upstream.waits == [7.5]


def test_a_wait_that_would_pass_the_deadline_is_not_begun() -> None:
    upstream = Upstream(failure(FailureKind.RATE_LIMITED, 7))
    with pytest.raises(ProviderError) as caught:
        upstream.run(within=5)
    assert upstream.waits == []
    assert caught.value.retry_after == 7


def test_an_open_breaker_is_not_waited_for() -> None:
    upstream = Upstream(CircuitOpen(FailureKind.UNAVAILABLE, "left alone", retry_after=1))
    with pytest.raises(CircuitOpen):
        upstream.run()
    assert upstream.waits == []


@given(st.integers(1, 10_000), st.floats(0, 1), st.none() | st.floats(0, 3600))
def test_a_wait_lies_between_what_was_asked_and_the_cap(n: int, draw: float, asked: float | None) -> None:
    assert (asked or 0) <= pause_after(n, asked, draw) <= (asked or 0) + CAP


@each_row(
    "value, seconds",
    [
        ("3", 3.0),
        ("1.5", 1.5),
        ("0", 0.0),
        ("999999999", 3600.0),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 11:59:00 GMT", 0.0),
        ("Thu, 01 Jan 2026 12:01:00", 60.0),
        ("Fri, 02 Jan 2026 12:00:00 GMT", 3600.0),
        ("-1", None),
        ("soon", None),
        ("nan", None),
        ("", None),
        ("9" * 400, None),
        ("Thu, 99 Jan 2026 12:00:30 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": value}, NOW) == seconds


def test_milliseconds_go_before_seconds() -> None:
    assert retry_after({"retry-after-ms": "250", "retry-after": "1"}) == 0.25
    assert retry_after({"retry-after-ms": "x", "retry-after": "1"}) == 1
