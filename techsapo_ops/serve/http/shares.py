"""Who has how many of the analyses that an instance makes at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from techsapo_ops.messages import msg
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.stores.keys import ApiKey, Plan

WEIGHTS: Mapping[Plan, int] = {"basic": 1, "standard": 2, "premium": 4}
"""How many analyses a key may have under way for each place that is free.

Alone, a basic key comes to half of all places, a standard one to two thirds, a premium one to four fifths.
Any number of keys leave some free, and each gets more as others end: no queue has to know of all of them.
(For the buffers of switches this is the dynamic threshold of Choudhury and Hahne.)
"""
RETRY_AFTER = 1.0
"""Seconds after which a caller may try again when there is no place for it."""


class Shares:
    """`most` places; no key has more of them than its plan's weight of what it leaves to others."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._by_key: Counter[str] = Counter()
        self._taken = 0

    @property
    def taken(self) -> int:
        """How many places are taken."""
        return self._taken

    @contextmanager
    def place(self, key: ApiKey | None) -> Iterator[None]:
        """A place until the end of the block. Raises Problem where there is none for `key`."""
        free = self._most - self._taken
        if free <= 0:
            raise Problem(
                503,
                "overloaded",
                msg("{taken} analyses are already in progress", taken=self._taken),
                retry_after=RETRY_AFTER,
            )
        name = key.id if key is not None else ""
        own = self._by_key.get(name, 0)
        if key is not None and own >= WEIGHTS[key.plan] * free:
            raise Problem(
                429,
                "key_busy",
                msg(
                    "this key has {own} questions in progress; the rest of the capacity is for other keys",
                    own=own,
                ),
                retry_after=RETRY_AFTER,
                under_way=own,
            )
        self._taken += 1
        self._by_key[name] += 1
        try:
            yield
        finally:
            self._taken -= 1
            self._by_key[name] -= 1
            if not self._by_key[name]:
                del self._by_key[name]
