"""An app that is reached without nginx, and somebody who wants to hold it down."""

from __future__ import annotations

import contextlib
import re
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from api_keys import NEEDED
from orchestrator import serving
from servers import Server, wait_for

from techsapo_ops.serve.http.transports import REQUEST_SECONDS

pytestmark = pytest.mark.lab

MB = 1024 * 1024


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An app that needs keys, and has none yet."""
    with serving(tmp_path_factory.mktemp("app"), **NEEDED) as server:
        yield server


def rss(server: Server) -> int:
    """Bytes of memory that the process has."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{server.process.pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def sockets_of(server: Server) -> int:
    """How many connections the process has open."""
    folder = Path(f"/proc/{server.process.pid}/fd")
    found = 0
    for entry in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += str(entry.readlink()).startswith("socket:")
    return found


@contextlib.contextmanager
def connections(server: Server, count: int, says: bytes) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(count):
            link = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            link.setblocking(False)
            with contextlib.suppress(OSError):
                link.send(says)
            made.append(link)
        yield made


def ended(links: list[socket.socket]) -> int:
    """How many of them the app has ended; what it said is read away."""
    poll, count = select.poll(), 0
    for link in links:
        poll.register(link, select.POLLIN)
    ready = {number for number, _ in poll.poll(0)}
    for link in links:
        if link.fileno() not in ready:
            continue
        try:
            while link.recv(65536):
                pass
            count += 1
        except BlockingIOError:
            continue
        except OSError:
            count += 1
    return count


def flood(server: Server, begins: bytes, goes_on: bytes, most: int) -> tuple[int, bytes]:
    """How many bytes the app took until it ended the connection, and what it said."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as link:
        sent, said = 0, b""
        link.sendall(begins)
        with contextlib.suppress(OSError):
            while sent < most:
                link.sendall(goes_on)
                sent += len(goes_on)
        with contextlib.suppress(OSError):
            while part := link.recv(65536):
                said += part
        return sent, said


def test_a_header_of_100_mb_is_refused_before_it_has_come(app: Server) -> None:
    before = rss(app)
    begins = b"GET /ping HTTP/1.1\r\nHost: x\r\nX-Long: "
    sent, said = flood(app, begins, b"a" * MB, 100 * MB)
    assert sent <= 20 * MB, "it took them all"
    assert said == b"" or said.startswith(b"HTTP/1.1 400 "), "a reset may overtake the answer"
    assert rss(app) - before < 50 * MB
    assert httpx.get(f"{app.url}/ping", trust_env=False, timeout=60).status_code == 200


@pytest.mark.nightly  # `tests/unit/serve/test_request_bounds.py` has one of each
def test_2000_silent_or_half_sent_requests_hold_up_nobody_and_end_by_themselves(app: Server) -> None:
    idle = sockets_of(app)
    half_sent = b"GET /ping HTTP/1.1\r\nHost: x\r\n"
    with connections(app, 1000, half_sent) as first, connections(app, 1000, b"") as others:
        links = first + others
        assert httpx.get(f"{app.url}/ping", trust_env=False, timeout=60).status_code == 200
        wait_for(lambda: ended(links) == 2000, timeout=REQUEST_SECONDS + 20, what="all of them ended")
    wait_for(lambda: sockets_of(app) <= idle, what="nothing left")


def large_bodies(server: Server, count: int) -> int:
    """Bytes by which the process grew while so many clients sent a megabyte each, but for its last byte."""
    before, grown = rss(server), 0
    head = b"POST /api/v1/generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with connections(server, count, head + b"Content-Length: %d\r\n\r\n" % MB) as links:
        left = dict.fromkeys(links, MB - 1)
        piece = b"x" * 65536
        while left:
            _, writable, _ = select.select([], list(left), [], 3)
            if not writable:
                break  # the app reads no more of them
            for link in writable:
                try:
                    left[link] -= link.send(piece[: left[link]])
                except OSError:
                    left[link] = 0
                if not left[link]:
                    del left[link]
            grown = max(grown, rss(server) - before)
    return grown


def test_bodies_of_strangers_are_not_kept(app: Server) -> None:
    assert large_bodies(app, 400) < 150 * MB
    assert httpx.get(f"{app.url}/ping", trust_env=False, timeout=60).status_code == 200


def test_bodies_are_bounded_in_all_where_no_key_is_needed(tmp_path: Path) -> None:
    with serving(tmp_path) as app:
        assert large_bodies(app, 400) < 200 * MB
        assert httpx.get(f"{app.url}/ping", trust_env=False, timeout=60).status_code == 200
