"""How often something may be tried, by client and in all."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from techsapo_ops.messages import msg
from techsapo_ops.serve.problems import Problem

MINUTE = 60.0


class Attempts:
    """So many a minute of `each` client, and so many of all `together`, which bounds what is remembered."""

    def __init__(self, each: int, together: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._each = each
        self._together = together
        self._clock = clock
        self._minute = 0
        self._counts: Counter[str] = Counter()

    def count(self, client: str) -> None:
        """One more. Raises Problem (429) where it is one too many."""
        now = self._clock()
        if int(now / MINUTE) != self._minute:
            self._minute = int(now / MINUTE)
            self._counts.clear()
        if self._counts[client] >= self._each or self._counts.total() >= self._together:
            wait = MINUTE - now % MINUTE
            raise Problem(
                429, "rate_limited", msg("too many attempts, try again in a minute"), retry_after=wait
            )
        self._counts[client] += 1
