"""What a certificate needs, by what is stored, what the spec says and what time it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rows import each_row
from stacks import spec, topology

from techsapo_ops.adapters.process import SubprocessRunner
from techsapo_ops.certs.authority import revoke
from techsapo_ops.certs.needs import Certificates, Need
from techsapo_ops.certs.renew import renew
from techsapo_ops.certs.self_signed import local_authority, sign
from techsapo_ops.certs.status import samples, status
from techsapo_ops.certs.store import CertificateState, Origin, Store
from techsapo_ops.errors import OpsError
from techsapo_ops.spec.models.servers import STAGING_DIRECTORY

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DIRECTORY = "https://acme-v02.api.letsencrypt.org/directory"
ACME = {"source": "acme", "names": ["example.com"]}


def certificates(folder: Path, **certificate: Any) -> Certificates:
    model = spec(certificates={"site": {"names": ["example.com"], **certificate}})
    return Certificates(topology(model, folder), SubprocessRunner(), now=lambda: NOW)


def stored(made: Certificates, origin: Origin, **settings: Any) -> Store:
    """A certificate that is stored and in use."""
    store = made.of("site").store
    authority = local_authority(made.topology.layout.certs / ".ca", NOW)
    version = store.put(sign(["example.com"], authority, now=NOW, **settings), origin)
    store.activate(version)
    store.remember(CertificateState(deployed=version.number))
    return store


CA, STAND_IN = Origin("acme", DIRECTORY), Origin("self-signed")


@each_row(
    "origin, change, days, need, why",
    [
        (CA, {}, 0, Need.NOTHING, ""),
        (CA, {}, 56, Need.NOTHING, ""),
        (CA, {}, 60, Need.RENEW, "due for renewal: expires on 2026-04-01"),
        (CA, {}, 91, Need.RENEW, "expired on"),
        (
            CA,
            {"names": ["example.com", "www.example.com"]},
            0,
            Need.RENEW,
            "the names of the certificate changed",
        ),
        (CA, {"directory": STAGING_DIRECTORY}, 0, Need.RENEW, "the ACME directory changed"),
        (CA, {"directory": "https://other.example/dir"}, 0, Need.RENEW, "the ACME directory changed"),
        (STAND_IN, {}, 0, Need.ISSUE, ""),
    ],
)
def test_a_certificate_of_a_ca_is_renewed_when_its_life_or_the_spec_says_so_or_it_was_revoked(
    tmp_path: Path, origin: Origin, change: dict[str, Any], days: float, need: Need, why: str
) -> None:
    store = stored(certificates(tmp_path, **ACME), origin)
    now = NOW + timedelta(days=days)
    made = replace(certificates(tmp_path, **{**ACME, **change}), now=lambda: now)
    due = made.of("site").due()
    assert due.need is need
    assert why in due.reason
    store.remember(replace(store.state, revoked=1))
    if need is Need.NOTHING:
        assert made.of("site").due().reason == "the certificate was revoked"


@each_row("source", ["acme", "self-signed"])
@each_row("damage", [lambda p: p.write_text("x"), lambda p: p.unlink()], ids=["cut", "gone"])
def test_a_damaged_certificate_is_replaced(
    tmp_path: Path, source: str, damage: Callable[[Path], object]
) -> None:
    made = certificates(tmp_path, **{**ACME, "source": source})
    store = stored(made, Origin(source, DIRECTORY if source == "acme" else ""))
    damage(store.directory / "versions/0001/privkey.pem")
    assert made.of("site").due().need is Need.RENEW
    (result,) = renew(made)
    if source == "self-signed":
        assert result.error is None
        assert made.of("site").due().need is Need.NOTHING
    else:
        assert "nginx, which is not running" in result.error.message


def test_what_was_stored_and_not_deployed_is_deployed_first(tmp_path: Path) -> None:
    made = certificates(tmp_path)
    store = stored(made, Origin("self-signed"))
    store.put(sign(["example.com"], made.authority(), now=NOW), Origin("self-signed"))
    due = made.of("site").due()
    assert (due.need, due.reason) == (Need.DEPLOY, "version 2 was not in use yet")
    renew(made)
    live = store.live()
    assert live.number == 2
    assert made.of("site").due().need is Need.NOTHING


def test_what_no_ca_issued_can_not_be_revoked(tmp_path: Path) -> None:
    made = certificates(tmp_path)
    stored(made, Origin("self-signed"))
    with pytest.raises(OpsError, match="not from an ACME CA"):
        revoke(made, "site", "unspecified")
    with pytest.raises(OpsError, match="there is no reason why"):
        revoke(made, "site", "why")


def test_a_link_that_is_missing_is_made_by_the_next_renewal(tmp_path: Path) -> None:
    stored(certificates(tmp_path), Origin("self-signed"))
    made = certificates(tmp_path, install_to="ssl")
    assert made.of("site").due().need is Need.FINISH
    renew(made)
    assert (tmp_path / "ssl/site.crt").exists()
    assert made.of("site").due().need is Need.NOTHING


def test_one_that_fails_keeps_no_other_from_being_renewed(tmp_path: Path) -> None:
    model = spec(
        certificates={
            "a": {"source": "files", "certificate_file": "no.pem", "private_key_file": "no.key"},
            "b": {"names": ["b.example.com"]},
        }
    )
    made = Certificates(topology(model, tmp_path), SubprocessRunner(), now=lambda: NOW)
    first, second = renew(made)
    assert first.error is not None
    assert second.error is None
    assert [r.need for r in (first.due, second.due)] == [Need.RENEW, Need.ISSUE]
    told = {(s.labels["name"], s.metric): s.value for s in samples(status(made))}
    assert told["a", "techsapo_cert_renewal_failures"] == 1
    assert told["b", "techsapo_cert_renewal_failures"] == 0
    assert told["b", "techsapo_cert_not_after_timestamp_seconds"] > NOW.timestamp()
    assert ("a", "techsapo_cert_not_after_timestamp_seconds") not in told
