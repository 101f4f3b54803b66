"""Spans on their way to the collector: a bounded queue, and a thread that empties it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import islice

import structlog
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from typing_extensions import override

from techsapo_ops.adapters.otlp import SpanSender

log = structlog.get_logger()

SIZE = 4096
"""Most spans that wait; further ones are dropped. An analysis has some ten of them, of 1 KB each."""
BATCH = 512
"""Most spans of one export."""
WAIT = 2.0
"""Seconds until spans are sent that are fewer than a batch."""
FLUSH = 3.0
"""Seconds that what waits at the end has to get away."""

Count = Callable[[str, int], None]
"""Counts spans by what became of them: sent, queue_full, failed."""


class SpanQueue(SpanProcessor):
    """Takes ended spans without ever waiting. What is lost is counted, and told of once for each outage.

    The SDK's own processor says neither how many it lost nor when it works again.
    """

    def __init__(self, sender: SpanSender, count: Count) -> None:
        self._sender = sender
        self._count = count
        self._waiting: deque[ReadableSpan] = deque()
        self._changed = threading.Condition()
        self._closing: float | None = None
        self._lost = 0
        self._under_way = 0
        self._given_up = False
        self._thread = threading.Thread(target=self._work, name="spans", daemon=True)
        self._thread.start()

    @override
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing is to be done before it ends."""

    @override
    def on_end(self, span: ReadableSpan) -> None:
        with self._changed:
            full = len(self._waiting) >= SIZE or self._closing is not None
            if not full:
                self._waiting.append(span)
                if len(self._waiting) >= BATCH:
                    self._changed.notify()
        if full:
            self._count("queue_full", 1)

    @override
    def shutdown(self) -> None:
        """Send what waits, for `FLUSH` seconds at most; what is left then is lost, and counted."""
        with self._changed:
            if self._closing is not None:
                return
            self._closing = time.monotonic() + FLUSH
            self._changed.notify()
        self._thread.join(FLUSH)
        with self._changed:
            self._given_up = True  # what is under way counts as lost: whether it arrived nobody will know
            left = len(self._waiting) + self._under_way
            self._waiting.clear()
        self._sender.close()
        if left:
            self._count("failed", left)
            log.warning("Spans that waited at the end are lost", spans=left)

    @override
    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """The thread sends what waits within `WAIT`; nobody asks it to hurry."""
        return True

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or len(self._waiting) >= BATCH, WAIT)
                batch = list(islice(self._waiting, BATCH))
                for _ in batch:
                    self._waiting.popleft()
                closing, self._under_way = self._closing, len(batch)
            if batch:
                self._send(batch)
            if closing is not None and (not batch or time.monotonic() >= closing):
                return

    def _send(self, batch: list[ReadableSpan]) -> None:
        sent = self._sender.send(batch)
        with self._changed:
            self._under_way = 0
            if self._given_up:
                return
        lost = len(batch) - sent.taken
        if sent.taken:
            self._count("sent", sent.taken)
        if lost:
            self._count("failed", lost)
            if not self._lost:
                log.warning("Spans are lost: the collector does not take them", error=sent.error, spans=lost)
            self._lost += lost
        elif self._lost:
            log.info("The collector takes spans again", lost=self._lost)
            self._lost = 0
