"""Reads back what a drill wrote: which of its requests have a row of the audit log, and how many."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from techsapo_ops.operations.watch.costs import drill_rows_of
from techsapo_ops.stack.stack import Stack

WAIT = 20.0
"""Seconds for which a row may be on its way: it is written after its answer, in a batch with others."""
POLL = 1.0


@dataclass(frozen=True, slots=True)
class Written:
    """Ids without a row, and ids with more than one."""

    lost: tuple[str, ...]
    doubled: tuple[str, ...]


def written(
    stack: Stack,
    prefix: str,
    answered: Collection[str],
    *,
    within: float = WAIT,
    clock: Callable[[], float] = time.monotonic,
) -> Written:
    """What became of the requests `answered`, whose ids begin with `prefix`. Raises OpsError."""
    until = clock() + within
    while True:
        rows: Mapping[str, int] = Counter(drill_rows_of(stack, prefix))
        lost = tuple(sorted(name for name in answered if not rows.get(name)))
        if not lost or clock() >= until:
            return Written(lost, tuple(sorted(name for name, count in rows.items() if count > 1)))
        stack.pause(POLL)
