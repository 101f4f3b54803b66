"""Peers that misbehave, on real sockets; each ends with its block."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Behaviour = Callable[[socket.socket, threading.Event], None]


@contextmanager
def peer(behave: Behaviour, host: str = "127.0.0.1") -> Iterator[int]:
    """A TCP server that treats each connection by `behave(connection, over)`; yields its port."""
    over = threading.Event()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.bind((host, 0))
        listener.listen(16)
        listener.settimeout(0.05)
        threads: list[threading.Thread] = []

        def one(connection: socket.socket) -> None:
            # The probe hangs up when it has seen enough.
            with connection, suppress(OSError):
                behave(connection, over)

        def serve() -> None:
            while not over.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                connection.settimeout(60)
                thread = threading.Thread(target=one, args=(connection,))
                thread.start()
                threads.append(thread)

        server = threading.Thread(target=serve)
        server.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            server.join()
            for thread in threads:
                thread.join()


def request_of(connection: socket.socket) -> bytes:
    """A whole request of HTTP, by its Content-Length: head and body may come in packets of their own.

    Of a client that hangs up before, what it sent; of one that does not speak HTTP, its first packet.
    """
    data = connection.recv(65536)
    if not re.match(rb"[A-Z]+ /", data):
        return data
    while (end := data.find(b"\r\n\r\n") + 4) < 4 and (more := connection.recv(65536)):
        data += more
    length = re.search(rb"(?im)^content-length: *([0-9]+)", data[:end])
    while len(data) < end + (int(length[1]) if length else 0) and (more := connection.recv(65536)):
        data += more
    return data


def answer(raw: bytes) -> Behaviour:
    """Reads a packet, sends `raw` and closes; for a request that may have a body there is `http`."""

    def behave(connection: socket.socket, over: threading.Event) -> None:
        connection.recv(65536)
        connection.sendall(raw)

    return behave


def http(status: str, body: bytes = b"", content_type: str = "text/plain") -> Behaviour:
    """Answers every request with this status and body."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"

    def behave(connection: socket.socket, over: threading.Event) -> None:
        request_of(connection)
        connection.sendall(head.encode() + body)

    return behave


def silent(connection: socket.socket, over: threading.Event) -> None:
    """Accepts and says nothing."""
    over.wait()


def trickle(raw: bytes, pause: float = 0.02) -> Behaviour:
    """Sends `raw` again and again, byte by byte: each byte would renew a socket's time-out."""

    def behave(connection: socket.socket, over: threading.Event) -> None:
        while not over.is_set():
            for byte in raw:
                connection.sendall(bytes([byte]))
                if over.wait(pause):
                    return

    return behave


def endless(connection: socket.socket, over: threading.Event) -> None:
    """Sends a body that has no end, as fast as it is read."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
    while not over.is_set():
        connection.sendall(b"x" * 65536)


def tls(chain: str, key: str) -> Behaviour:
    """Speaks TLS with this certificate, then HTTP 200."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)

    def behave(connection: socket.socket, over: threading.Event) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(65536)
            secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    return behave
