from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from rows import each_row

from techsapo_ops.adapters import files
from techsapo_ops.certs.self_signed import due, ensure

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ["techsapo.example.com", "*.techsapo.example.com", "127.0.0.1", "::1"]


def leaf(directory: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((directory / "fullchain.pem").read_bytes())


def snapshot(directory: Path) -> dict[str, tuple[bytes, int]]:
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in directory.rglob("*") if p.is_file()}


def test_a_certificate_holds_all_names_and_is_signed_by_the_stack_s_ca(tmp_path: Path) -> None:
    made = ensure(tmp_path / "web", NAMES, now=NOW)
    assert made.changed
    chain = x509.load_pem_x509_certificates(made.chain.read_bytes())
    names = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == NAMES[:2]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == NAMES[2:]
    chain[0].verify_directly_issued_by(chain[1])
    assert chain[1].extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not chain[0].extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_client_that_trusts_the_ca_accepts_the_server(tmp_path: Path) -> None:
    import socket
    import ssl
    import threading

    made = ensure(tmp_path / "web", ["localhost"], now=datetime.now(UTC))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made.chain, made.key)
    client = ssl.create_default_context(cafile=str(tmp_path / ".ca/ca.pem"))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    left, right = socket.socketpair()
    with left, right:
        thread = threading.Thread(target=lambda: server.wrap_socket(left, server_side=True).close())
        thread.start()
        with client.wrap_socket(right, server_hostname="localhost") as secure:
            assert secure.version() == "TLSv1.3"
        thread.join()


def test_what_is_due_is_told_before_anything_is_written(tmp_path: Path) -> None:
    web = tmp_path / "web"
    assert due(web, NAMES, now=NOW) == "there was no local CA, or it was about to end"
    assert not web.exists()
    ensure(web, NAMES, days=365, now=NOW)
    before = snapshot(tmp_path)
    assert due(web, NAMES, now=NOW) == ""
    assert due(web, ["other.example"], now=NOW) == "the names changed"
    assert due(web, NAMES, now=NOW + timedelta(days=220)) == ""
    assert (
        due(web, NAMES, now=NOW + timedelta(days=250))
        == "it is due for renewal, as it ends on 2027-01-01 00:00 UTC"
    )
    assert due(web, NAMES, now=NOW + timedelta(days=3300)).startswith("there was no local CA")
    assert snapshot(tmp_path) == before
    (web / "privkey.pem").unlink()
    assert due(web, NAMES, now=NOW) == "there was none"


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    made = ensure(tmp_path / "web", NAMES, now=NOW)
    modes = {
        p: stat.S_IMODE(p.stat().st_mode)
        for p in (made.key, made.chain, tmp_path / ".ca/ca.key", tmp_path / ".ca")
    }
    assert list(modes.values()) == [0o600, 0o644, 0o600, 0o700]


def test_a_second_call_touches_nothing(tmp_path: Path) -> None:
    ensure(tmp_path / "web", NAMES, now=NOW)
    before = snapshot(tmp_path)
    again = ensure(tmp_path / "web", list(reversed(NAMES)), now=NOW + timedelta(days=1))
    assert not again.changed
    assert snapshot(tmp_path) == before


def test_it_is_renewed_when_a_third_of_its_life_is_left_and_not_before(tmp_path: Path) -> None:
    ensure(tmp_path / "web", NAMES, days=90, now=NOW)
    assert not ensure(tmp_path / "web", NAMES, days=90, now=NOW + timedelta(days=56)).changed
    renewed = ensure(tmp_path / "web", NAMES, days=90, now=NOW + timedelta(days=60))
    assert renewed.reason.startswith("it is due for renewal")
    assert leaf(tmp_path / "web").not_valid_after_utc == NOW + timedelta(days=150)


@each_row("names", [NAMES[:1], [*NAMES, "more.example.com"]])
def test_changed_names_make_a_new_one(tmp_path: Path, names: list[str]) -> None:
    ensure(tmp_path / "web", NAMES, now=NOW)
    assert ensure(tmp_path / "web", names, now=NOW).reason == "the names changed"
    assert not ensure(tmp_path / "web", names, now=NOW).changed


def test_the_spelling_of_a_name_does_not_count_as_a_change(tmp_path: Path) -> None:
    ensure(tmp_path / "web", ["Example.COM", "::1"], now=NOW)
    assert not ensure(tmp_path / "web", ["example.com", "0:0:0:0:0:0:0:1"], now=NOW).changed


def test_two_certificates_share_the_ca_and_a_new_ca_replaces_both(tmp_path: Path) -> None:
    ensure(tmp_path / "a", ["a.example"], now=NOW)
    ensure(tmp_path / "b", ["b.example"], now=NOW)
    assert leaf(tmp_path / "a").issuer == leaf(tmp_path / "b").issuer
    authority = x509.load_pem_x509_certificate((tmp_path / ".ca/ca.pem").read_bytes())
    leaf(tmp_path / "b").verify_directly_issued_by(authority)
    (tmp_path / ".ca/ca.key").unlink()
    assert ensure(tmp_path / "a", ["a.example"], now=NOW).reason == "the local CA changed"
    assert ensure(tmp_path / "b", ["b.example"], now=NOW).reason == "the local CA changed"


def test_a_key_of_another_certificate_is_noticed(tmp_path: Path) -> None:
    made = ensure(tmp_path / "web", NAMES, now=NOW)
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    made.key.write_bytes(other)
    assert ensure(tmp_path / "web", NAMES, now=NOW).reason == "key and certificate did not match"
    assert not ensure(tmp_path / "web", NAMES, now=NOW).changed


@each_row("name", ["web/fullchain.pem", "web/privkey.pem", ".ca/ca.pem", ".ca/ca.key"])
@each_row("content", [b"", b"-----BEGIN CERTIFICATE-----\nMIIB", "日本語".encode()])
def test_a_file_that_was_cut_short_is_mended(tmp_path: Path, name: str, content: bytes) -> None:
    ensure(tmp_path / "web", NAMES, now=NOW)
    (tmp_path / name).write_bytes(content)
    assert ensure(tmp_path / "web", NAMES, now=NOW).changed
    assert not ensure(tmp_path / "web", NAMES, now=NOW).changed


def test_killed_between_key_and_chain_the_next_call_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from techsapo_ops.certs import self_signed

    ensure(tmp_path / "web", NAMES, now=NOW)

    def killed(path: Path, content: bytes, mode: int = 0o644) -> None:
        if path.name == "fullchain.pem":
            raise KeyboardInterrupt
        files.write_atomic(path, content, mode)

    with monkeypatch.context() as patch:
        patch.setattr(self_signed, "write_atomic", killed)
        with pytest.raises(KeyboardInterrupt):
            ensure(tmp_path / "web", NAMES[:1], now=NOW)
    assert ensure(tmp_path / "web", NAMES[:1], now=NOW).changed
    assert not ensure(tmp_path / "web", NAMES[:1], now=NOW).changed
