from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.adapters.http import fetch, send, way
from techsapo_ops.adapters.tls import KEY_HEADERS, SYSTEM, Trust, distrust
from techsapo_ops.errors import OpsError

KEY = {"Authorization": "Bearer k"}


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The connections that were attempted; none is made."""
    attempted: list[object] = []

    def connect(*arguments: object, **_: object) -> None:
        attempted.append(arguments)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "create_connection", connect)
    return attempted


HERE = """
    http://127.0.0.1:4000/x HTTP://127.0.0.1/x http://127.1.2.3/ http://localhost:4000/ http://LOCALHOST/
    http://[::1]:4000/ http://[0:0:0:0:0:0:0:1]/ http://[::ffff:127.0.0.1]/ http://evil.example@127.0.0.1/
"""
OUTSIDE = """
    http://techsapo.example.com/ http://192.0.2.1/ http://10.0.0.1:4000/ http://localhost.evil.example/
    http://evil.localhost/ http://localhost./ http://127.0.0.1.evil.example/ http://127.evil.example/
    http://127.0.0.1@evil.example/ http://127.0.0.1:80@evil.example/ http://localhost%2eevil.example/
    http://127.1/ http://2130706433/ http://0x7f000001/ http://0.0.0.0/ http://[::]/
    http://[::ffff:192.0.2.1]/ http://[fe80::1]/
"""


@each_row("url", HERE.split())
def test_a_key_may_go_by_plain_http_where_it_stays_on_this_host(url: str) -> None:
    context, named = way(url, KEY, SYSTEM, 1.0)
    assert named == {}
    assert (context.verify_mode, context.get_ca_certs()) == (ssl.CERT_REQUIRED, [])


@each_row("url", OUTSIDE.split())
def test_a_key_that_would_leave_this_host_by_plain_http_is_refused_before_any_connection(
    url: str, connections: list[object]
) -> None:
    for name in KEY_HEADERS:
        with pytest.raises(OpsError) as refused:
            fetch(url, timeout=1, headers={name.title(): "k"})
        assert refused.value.message.startswith(f"{url}: ")
        assert "nothing was sent" in refused.value.message
    with pytest.raises(OpsError):
        send(url, b"{}", headers=KEY, timeout=1)
    assert connections == []


@each_row(
    "url",
    [
        "http://127.0.0.1\\@evil.example/",
        "http://127.0.0.1\n.evil.example/",
        "http://[::1",
        "http://１２７.evil.example/",
    ],
)
def test_an_address_that_two_parsers_may_read_differently_is_asked_by_nobody_with_a_key(
    url: str, connections: list[object]
) -> None:
    with pytest.raises(OpsError):
        fetch(url, timeout=1, headers=KEY)
    assert connections == []


def test_the_name_localhost_is_trusted_only_where_it_leads_to_this_host(
    monkeypatch: pytest.MonkeyPatch, connections: list[object]
) -> None:
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, 0)) for a in ("127.0.0.1", "192.0.2.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer)
    with pytest.raises(OpsError, match="not sent over plain http"):
        fetch("http://localhost/", timeout=1, headers=KEY)
    assert connections == []


def test_plain_http_without_a_key_and_https_with_one_are_not_refused() -> None:
    way("http://techsapo.example.com/", {"Accept": "*/*"}, SYSTEM, 1.0)
    context, named = way("https://techsapo.example.com/", KEY, SYSTEM, 1.0)
    assert named == {}
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_an_own_address_of_the_stack_counts_as_this_host() -> None:
    way("http://192.0.2.1/", KEY, Trust(here=frozenset({"192.0.2.1"})), 1.0)
    with pytest.raises(OpsError):
        way("http://192.0.2.2/", KEY, Trust(here=frozenset({"192.0.2.1"})), 1.0)


def test_plain_http_reads_no_certificates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("plain http has no use for authorities")

    monkeypatch.setattr(ssl, "create_default_context", never)
    monkeypatch.setattr(Path, "iterdir", never)
    way("http://127.0.0.1/", {}, Trust(own=tmp_path), 1.0)


@each_row(
    "code, reason, hint",
    [
        (9, "is not valid yet", "clocks"),
        (10, "has expired", "renew"),
        (18, "is self-signed", "--ca-file"),
        (20, "is from a CA that is not trusted on this host", "--ca-file"),
        (62, "is for another name: words of OpenSSL", "by a name in the certificate"),
        (23, "is not valid: words of OpenSSL", "renew"),
    ],
)
def test_what_is_wrong_with_a_certificate_is_told_with_what_to_try(code: int, reason: str, hint: str) -> None:
    error = ssl.SSLCertVerificationError()
    error.verify_code, error.verify_message = code, "words of OpenSSL"
    said, hinted = distrust(error)
    assert said.startswith(reason)
    assert hint in hinted


def test_what_the_stack_keeps_that_is_no_certificate_is_named_and_not_trusted(tmp_path: Path) -> None:
    for name in ("damaged", "open"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "fullchain.pem").write_text("-----BEGIN CERTIFICATE-----\nx\n")
    (tmp_path / "open/fullchain.pem").chmod(0o666)
    trust = Trust(own=tmp_path)
    assert trust.ignored() == (
        f"{tmp_path}/damaged/fullchain.pem contains no certificate",
        f"{tmp_path}/open/fullchain.pem can be changed by other users",
    )
    assert trust.context().cert_store_stats() == Trust().context().cert_store_stats()
