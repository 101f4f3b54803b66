"""A certificate of a real CA: validated through the generated nginx, served by it, renewed when told to."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from edges import NAME, Edge, acme_edge

from techsapo_ops.adapters.tls import names_of

pytestmark = pytest.mark.needs("nginx", "pebble", "pebble-challtestsrv")


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with acme_edge(tmp_path_factory.mktemp("edge")) as made:
        yield made


def leaf(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_a_first_certificate_takes_the_place_of_the_stand_in(edge: Edge) -> None:
    assert "local CA" in str(edge.served().issuer)
    planned = edge.techsapo("renew", "--dry-run", code=100)
    assert "would issue" in planned
    said = edge.techsapo("issue", "techsapo")
    assert "nginx serves it" in said
    at = f"{datetime.fromisoformat(edge.status()['renews_at']):%Y-%m-%d %H:%M} UTC"
    assert f"next renewal {at}" in said
    assert edge.state()["suggested_serial"] == f"{edge.served().serial_number:x}"  # the CA was asked when
    shown = edge.served()
    assert "Pebble" in str(shown.issuer)
    assert names_of(shown) == (NAME,)
    assert isinstance(shown.public_key(), ec.EllipticCurvePublicKey)
    assert shown == leaf(edge.folder / "fullchain.pem")
    for name, mode in (("privkey.pem", 0o600), ("fullchain.pem", 0o644)):
        assert stat.S_IMODE((edge.folder / name).stat().st_mode) == mode
    chain = x509.load_pem_x509_certificates((edge.folder / "fullchain.pem").read_bytes())
    chain[1].verify_directly_issued_by(x509.load_pem_x509_certificate(edge.ca.root()))
    status = edge.status()
    assert (status["served"], status["chain"], status["attention"]) == (True, "ok", [])
    assert status["key"] == "ECDSA P-256"
    private = list((edge.project.state / "acme").rglob("*"))
    assert private
    assert all(stat.S_IMODE(p.stat().st_mode) & 0o077 == 0 for p in private)


def test_renew_does_nothing_when_nothing_is_due_and_says_when_it_will_be(edge: Edge) -> None:
    orders, shown = edge.orders(), edge.served()
    at = f"{datetime.fromisoformat(edge.status()['renews_at']):%Y-%m-%d %H:%M} UTC"
    assert f"techsapo: nothing is due; next renewal {at}" in edge.techsapo("renew")
    assert "nothing is due" in edge.techsapo("renew", "--dry-run")
    assert (edge.orders(), edge.served()) == (orders, shown)


def test_force_renews_with_another_key_and_the_same_account(edge: Edge) -> None:
    accounts = edge.ca.server.log().count("There are now 1 accounts")
    before = edge.served()
    assert "--force" in edge.techsapo("renew", "techsapo", "--force")
    after = edge.served()
    assert after.serial_number != before.serial_number
    assert after.public_key() != before.public_key()
    assert edge.ca.server.log().count("There are now 1 accounts") == accounts
