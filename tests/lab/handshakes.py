"""Clients that open one TLS connection after another, and what they saw."""

from __future__ import annotations

import multiprocessing
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography import x509
from edges import NAME

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


@dataclass
class Clients:
    """What clients saw that opened one TLS connection after another."""

    port: int
    pause: float = 0.0
    """Seconds between two connections of one client."""
    handshakes: int = 0
    failures: list[str] = field(default_factory=list)
    seen: dict[bytes, float] = field(default_factory=dict)
    """When each certificate (DER) was seen first, by time.monotonic()."""
    last: dict[bytes, float] = field(default_factory=dict)
    """When each was seen last."""
    expired: int = 0

    def run(self, ended: threading.Event) -> None:
        """Connect again and again until `ended`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        ends: dict[bytes, datetime] = {}
        while not ended.wait(self.pause):
            try:
                with (
                    socket.create_connection(("127.0.0.1", self.port), timeout=60) as plain,
                    context.wrap_socket(plain, server_hostname=NAME) as secure,
                ):
                    shown = secure.getpeercert(binary_form=True)
                assert shown is not None
            except (OSError, AssertionError) as error:
                self.failures.append(repr(error))
                continue
            now = time.monotonic()
            self.seen.setdefault(shown, now)
            self.last[shown] = now
            self.handshakes += 1
            if shown not in ends:
                ends[shown] = x509.load_der_x509_certificate(shown).not_valid_after_utc
            if ends[shown] <= datetime.now(UTC):
                self.expired += 1


@contextmanager
def connecting(port: int, threads: int, pause: float = 0.0) -> Iterator[Clients]:
    """Clients that connect anew all the time, each `pause` seconds after its last connection."""
    clients, ended = Clients(port, pause), threading.Event()
    running = [threading.Thread(target=clients.run, args=(ended,)) for _ in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield clients
    finally:
        ended.set()
        for thread in running:
            thread.join()


@contextmanager
def connecting_apart(port: int, threads: int) -> Iterator[Clients]:
    """As `connecting`, in a process of its own, for times that nothing here delays.

    What they saw is there when the block has ended.
    """
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_apart, args=(port, threads, there))
    process.start()
    there.close()
    clients = Clients(port)
    try:
        here.recv()
        yield clients
        here.send("end")
        vars(clients).update(vars(here.recv()))
    finally:
        here.close()
        process.join()


def _apart(port: int, threads: int, parent: Connection) -> None:
    with connecting(port, threads) as clients:
        parent.send("begun")
        try:
            parent.recv()
        except EOFError:
            return
    parent.send(clients)
