"""Lines about refused requests: the first ones are written, the others counted: a flood rolls out no log."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import structlog

from techsapo_ops.serve.anomalies import network_of

OF_CLIENT = 5
"""Lines of one kind a minute about one network (IPv4 /24, IPv6 /48)."""
OF_KIND = 20
"""Lines of one kind a minute about all of them."""
OF_ALL = 60
"""Lines about refused requests a minute: 38 MB a day of 443 bytes each, where a log keeps 80 MB."""
MINUTE = 60.0
REFUSED = "refused"
"""The field of a line that may be left out: why the request was refused, and the client's address."""

Event = structlog.types.EventDict


class LineSampler:
    """A processor of structlog. A line's kind is its message with the reason of the field REFUSED.

    What was left out in a minute is told, by kind, with the first line of the next one, or a minute later.
    `later` calls a function after so many seconds.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        later: Callable[[float, Callable[[], None]], object] | None = None,
    ) -> None:
        self._clock = clock
        self._later = later or _on_the_loop
        self._lock = threading.Lock()
        self._began = float("-inf")
        self._written: Counter[tuple[str, ...]] = Counter()
        self._left_out: Counter[str] = Counter()

    def __call__(self, _logger: Any, _method: str, event: Event) -> Event:
        """Let a line through, or raise DropEvent."""
        refused = event.pop(REFUSED, None)
        if self._clock() - self._began >= MINUTE:
            self.tell()
        if refused is None or self._may_pass(f"{event.get('event')}: {refused[0]}", network_of(refused[1])):
            return event
        raise structlog.DropEvent

    def tell(self) -> None:
        """Write how many lines were left out since the last time, and begin a new minute."""
        with self._lock:
            left_out, self._left_out = self._left_out, Counter()
            self._written.clear()
            self._began = self._clock()
        for kind, lines in left_out.items():
            structlog.get_logger().warning(
                "Lines about refused requests were left out", kind=kind, lines=lines
            )

    def _may_pass(self, kind: str, network: str) -> bool:
        counted = (((kind, network), OF_CLIENT), ((kind,), OF_KIND), ((), OF_ALL))
        with self._lock:
            if all(self._written[of] < most for of, most in counted):
                self._written.update(of for of, _ in counted)
                return True
            first = not self._left_out
            self._left_out[kind] += 1
        if first:
            self._later(self._began + MINUTE - self._clock(), self.tell)
        return False


def _on_the_loop(seconds: float, call: Callable[[], None]) -> None:
    """Call it on the running event loop; where there is none, the next line will do."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    loop.call_later(seconds, call)
