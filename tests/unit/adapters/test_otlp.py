"""Collectors that misbehave, on real sockets: little is read of them, and the app's end waits for none."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter

import peers
import pytest
from opentelemetry.sdk.trace import TracerProvider

from techsapo_ops.adapters.otlp import SpanSender
from techsapo_ops.serve import span_queue
from techsapo_ops.serve.span_queue import SpanQueue


def trickle(connection: socket.socket, over: threading.Event) -> None:
    """Begin an answer, and then send a byte after the other."""
    peers.request_of(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n")
    while not over.wait(0.02):
        connection.sendall(b"a")


def test_of_an_endless_answer_a_little_is_read() -> None:
    span = TracerProvider().get_tracer("x").start_span("a")
    span.end()
    with peers.peer(peers.endless) as port:
        sender = SpanSender(f"http://127.0.0.1:{port}", {}, timeout=60)
        sent = sender.send([span])
        sender.close()
    assert sent.taken == 0
    assert "longer than 64 KB" in sent.error


def test_a_collector_that_trickles_its_answer_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(span_queue, "FLUSH", 0.5)
    counted: Counter[str] = Counter()
    with peers.peer(trickle) as port:
        queue = SpanQueue(
            SpanSender(f"http://127.0.0.1:{port}", {}), lambda result, count: counted.update({result: count})
        )
        provider = TracerProvider()
        provider.add_span_processor(queue)
        provider.get_tracer("x").start_span("a").end()
        began = time.monotonic()
        queue.shutdown()
        assert time.monotonic() - began < 3
    assert counted == {"failed": 1}
