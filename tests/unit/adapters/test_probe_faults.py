"""Probes against peers that misbehave, on real sockets."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import peers
import pytest
from rows import each_row
from servers import free_port

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.http import BODY_LIMIT, Unreachable, fetch
from techsapo_ops.adapters.probe import ProbeResult, probe
from techsapo_ops.certs.self_signed import ensure
from techsapo_ops.stack.service import Probe

SHORT = 0.3
NOT_HTTP = "answered with something that is not HTTP (does the port speak TLS?)"


def ask(kind: str, port: int, *, host: str = "127.0.0.1", timeout: float = 20.0) -> ProbeResult:
    return probe(Probe(kind, "/health"), Address(host, port), timeout=timeout, user="u", password="p")


@each_row("kind", ["http", "redis", "mysql", "tcp"])
def test_a_refused_connection_is_a_result_and_says_so(kind: str) -> None:
    found = ask(kind, free_port())
    assert not found.ok
    assert found.detail == "connection refused"


@each_row("kind", ["http", "redis", "mysql"])
def test_a_peer_that_accepts_and_says_nothing_costs_no_more_than_the_timeout(kind: str) -> None:
    with peers.peer(peers.silent) as port:
        found = ask(kind, port, timeout=SHORT)
    assert not found.ok
    assert found.detail.endswith(f"did not answer within {SHORT:g} s")


@each_row(
    "kind, raw",
    [
        ("http", b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 4096),
        ("redis", b"+" + b"P" * 4096),
        ("mysql", b"\xff\xff\x00\x00" + b"\x0a" * 4096),
    ],
)
def test_a_peer_that_trickles_for_ever_is_cut_at_the_deadline(kind: str, raw: bytes) -> None:
    with peers.peer(peers.trickle(raw)) as port:
        found = ask(kind, port, timeout=SHORT)
    assert not found.ok
    assert f"within {SHORT:g} s" in found.detail


def test_a_body_that_trickles_is_cut_too_and_the_status_is_told() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"

    def behave(connection, over):
        connection.recv(65536)
        connection.sendall(head)
        peers.trickle(b"a")(connection, over)

    with peers.peer(behave) as port:
        found = ask("http", port, timeout=SHORT)
    assert not found.ok
    assert found.detail.startswith("HTTP 200, but only ")


def test_of_an_endless_body_only_the_first_64_kb_are_read() -> None:
    with peers.peer(peers.endless) as port:
        answer = fetch(f"http://127.0.0.1:{port}/", timeout=5)
    assert len(answer.body) == BODY_LIMIT
    assert answer.truncated


def test_a_compressed_bomb_is_not_unpacked() -> None:
    with peers.peer(
        peers.answer(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08")
    ) as p:
        assert fetch(f"http://127.0.0.1:{p}/", timeout=5).body == b"\x1f\x8b\x08"


@each_row(
    "raw, detail",
    [
        (b"", "closed the connection without an answer"),
        (b"\x15\x03\x01\x00\x02\x02\x46", NOT_HTTP),
        (b"SSH-2.0-x\r\n\r\n", NOT_HTTP),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour",
            "HTTP 200, but the answer ended early, after 4 bytes",
        ),
        (b"HTTP/1.1 302 F\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "HTTP 302"),
        (
            "HTTP/1.1 500 Oh\r\nContent-Length: 30\r\n\r\nプロバイダー\n  try later".encode(),
            "HTTP 500: プロバイダー try later",
        ),
    ],
)
def test_a_wrong_answer_is_named(raw: bytes, detail: str) -> None:
    with peers.peer(peers.answer(raw)) as port:
        found = ask("http", port)
    assert (found.ok, found.detail) == (False, detail)


@each_row("kind, words", [("redis", "not Redis's protocol"), ("mysql", "did not answer")])
def test_a_web_server_in_place_of_a_database_is_noticed(kind: str, words: str) -> None:
    with peers.peer(peers.http("200 OK", b"hi")) as port:
        found = ask(kind, port, timeout=SHORT)
    assert not found.ok
    assert words in found.detail


@each_row("kind", ["http", "tcp"])
def test_an_ipv6_address_is_reached(kind: str) -> None:
    with peers.peer(peers.http("200 OK", b"pong"), "::1") as port:
        found = ask(kind, port, host="::1")
    assert found.ok


@each_row(
    "reply, words",
    [
        (b"-LOADING Redis is loading the dataset in memory\r\n", "loading its data set"),
        (b"-ERR max number of clients reached\r\n", "max number of clients"),
        (b"+NOPE\r\n", "answered 'NOPE' to PING"),
    ],
)
def test_what_redis_refuses_is_passed_on(reply: bytes, words: str) -> None:
    with peers.peer(_redis_that_says(reply)) as port:
        found = probe(Probe("redis"), Address("127.0.0.1", port), timeout=2)
    assert not found.ok
    assert words in found.detail


def test_an_account_that_redis_refuses_is_named() -> None:
    with peers.peer(_redis_that_says(b"-NOAUTH Authentication required.\r\n")) as port:
        found = probe(Probe("redis"), Address("127.0.0.1", port), timeout=2, user="sapo", password="wrong")
    assert found.detail == "refused user sapo: unknown, or wrong password (redis.user, redis.password)"


def test_a_redis_that_speaks_no_tls_is_told_from_one_that_is_silent(tmp_path: Path) -> None:
    ensure(tmp_path / "web", ["localhost"], now=datetime.now(UTC))
    ca = tmp_path / ".ca" / "ca.pem"
    with peers.peer(_redis_that_says(b"+PONG\r\n")) as port:
        found = probe(Probe("redis"), Address("127.0.0.1", port), timeout=2, ca=ca)
    assert (found.ok, found.detail.partition(":")[0]) == (False, "does not speak TLS")
    with peers.peer(peers.silent) as port:
        found = probe(Probe("redis"), Address("127.0.0.1", port), timeout=SHORT, ca=ca)
    assert found.detail.endswith(f"did not answer within {SHORT:g} s")


def _redis_that_says(reply: bytes) -> peers.Behaviour:
    def behave(connection, over):
        while data := connection.recv(65536):
            # Several commands may come in one packet; each begins with its array header.
            for command in data.split(b"*")[1:]:
                connection.sendall(reply if b"PING" in command else b"+OK\r\n")

    return behave


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    with peers.peer(peers.http("200 OK", b"direct")) as port:
        assert fetch(f"http://127.0.0.1:{port}/", timeout=2).text == "direct"


def test_unreachable_names_the_address_and_a_next_step() -> None:
    url = f"http://127.0.0.1:{free_port()}/x"
    with pytest.raises(Unreachable, match="connection refused") as caught:
        fetch(url, timeout=2)
    assert url in caught.value.message
    assert "techsapo ps" in caught.value.hint
