"""Requests whose time and size are bounded, against peers that misbehave, on real sockets."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime
from pathlib import Path

import peers
import pytest
import requests
from opentelemetry.sdk.trace import TracerProvider
from rows import each_row

from techsapo_ops.adapters.bounded_session import BoundedSession
from techsapo_ops.adapters.otlp import SpanSender
from techsapo_ops.certs.self_signed import ensure

SHORT = 0.3
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n"
WHOLE = HEAD + b"Content-Length: 2\r\n\r\nok"


def trickled(head: bytes) -> peers.Behaviour:
    """Sends `head`, and then a byte after the other."""

    def behave(connection: socket.socket, over: threading.Event) -> None:
        peers.request_of(connection)
        connection.sendall(head)
        while not over.wait(0.02):
            connection.sendall(b"a")

    return behave


def ask(session: BoundedSession, url: str, timeout: float = SHORT) -> requests.Response:
    return session.request("POST", url, data=b"spans", timeout=timeout)


@each_row("head", [b"", HEAD + b"X-Slow: ", HEAD + b"Content-Length: 9999999\r\n\r\n", HEAD + b"\r\n"])
def test_an_answer_that_trickles_is_cut_at_the_deadline(head: bytes) -> None:
    with (
        peers.peer(trickled(head)) as port,
        BoundedSession() as session,
        pytest.raises(requests.Timeout, match=rf"answer within {SHORT:.1f} s"),
    ):
        ask(session, f"http://127.0.0.1:{port}")


def test_the_second_answer_on_a_connection_is_cut_like_the_first() -> None:
    connections: list[socket.socket] = []

    def behave(connection: socket.socket, over: threading.Event) -> None:
        connections.append(connection)
        peers.request_of(connection)
        connection.sendall(WHOLE)
        trickled(HEAD)(connection, over)

    with peers.peer(behave) as port, BoundedSession() as session:
        assert ask(session, f"http://127.0.0.1:{port}", 60).status_code == 200
        with pytest.raises(requests.Timeout):
            ask(session, f"http://127.0.0.1:{port}")
    assert len(connections) == 1


def test_so_is_one_by_tls(tmp_path: Path) -> None:
    made = ensure(tmp_path / "a", ["localhost"], now=datetime.now(UTC))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.chain, made.key)

    def behave(connection: socket.socket, over: threading.Event) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            peers.request_of(secure)
            secure.sendall(WHOLE)
            trickled(HEAD)(secure, over)

    with peers.peer(behave) as port, BoundedSession() as session:
        session.verify = str(made.chain)
        url = f"https://localhost:{port}"
        assert ask(session, url, 60).status_code == 200
        with pytest.raises(requests.Timeout):
            ask(session, url)


def test_of_an_endless_answer_a_little_is_read() -> None:
    with (
        peers.peer(peers.endless) as port,
        BoundedSession() as session,
        pytest.raises(requests.RequestException, match="longer than 64 KB"),
    ):
        ask(session, f"http://127.0.0.1:{port}", 60)


def test_a_collector_that_trickles_holds_a_batch_up_no_longer_than_one_that_is_silent() -> None:
    span = TracerProvider().get_tracer("x").start_span("a")
    span.end()
    with peers.peer(trickled(HEAD + b"Content-Length: 9999999\r\n\r\n")) as port:
        sender = SpanSender(f"http://127.0.0.1:{port}", {}, timeout=SHORT)
        sent = sender.send([span])
        sender.close()
    assert sent.taken == 0
    assert sent.error
