"""When a failed call to a provider is made again, and how long to wait before.

Of the two libraries that fit the field, stamina and tenacity, neither takes the wait from the error that was
raised while it keeps a deadline that also cuts the attempt under way.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from techsapo_ops.wallbounce.breaker import CircuitOpen
from techsapo_ops.wallbounce.failures import ProviderError

MAX_RETRY_AFTER = 3600.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently. `base` and `cap` are in seconds.

    After attempt n a time is drawn evenly from 0 to min(cap, base * 2 ** (n - 1)) ("full jitter",
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/) and added to what the provider
    asked for by Retry-After.
    """

    attempts: int = 3
    base: float = 0.5
    cap: float = 8.0

    def wait(self, attempt: int, retry_after: float | None, draw: float) -> float:
        """Seconds to wait after attempt number `attempt` (from 1) failed; `draw` is 0 to 1."""
        return (retry_after or 0.0) + draw * min(self.cap, self.base * 2.0 ** min(attempt - 1, 30))


async def call_with_retries(
    call: Callable[[], Awaitable[T]],
    policy: RetryPolicy,
    within: float,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    draw: Callable[[], float] = random.random,
) -> T:
    """What `call` returns, made anew after passing failures, all within that many seconds.

    A wait that would end after the deadline is not begun: the failure is raised at once, with its
    Retry-After. At the deadline the attempt under way is cancelled and TimeoutError raised.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + within
    attempt = 0
    async with asyncio.timeout_at(deadline):
        while True:
            attempt += 1
            try:
                return await call()
            except CircuitOpen:
                raise
            except ProviderError as error:
                wait = policy.wait(attempt, error.retry_after, draw())
                if not error.passing or attempt >= policy.attempts or clock() + wait >= deadline:
                    raise
            await sleep(wait)


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds of a Retry-After header (RFC 9110, 10.2.3: seconds or a date), at most an hour.

    None where there is none or it can't be read. `retry-after-ms`, which OpenAI sends, goes before it.
    `headers` are looked up in lower case.
    """
    exact = headers.get("retry-after-ms", "")
    if re.fullmatch(r"\d{1,9}(\.\d+)?", exact):
        return min(float(exact) / 1000, MAX_RETRY_AFTER)
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,18}(\.\d+)?", value):
        return min(float(value), MAX_RETRY_AFTER)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return min(max((date - (now or datetime.now(UTC))).total_seconds(), 0.0), MAX_RETRY_AFTER)
