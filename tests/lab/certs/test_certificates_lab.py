"""Certificates from a real CA, validated through the generated nginx, deployed, and renewed under load."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from acme_ca import pebble
from crond import cron
from cryptography import x509
from edges import NAME, Edge, acme_edge
from handshakes import connecting
from servers import wait_for

from techsapo_ops.adapters.tls import names_of
from techsapo_ops.apply.administration import actions, chain_of
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.certs.renew import renew
from techsapo_ops.certs.self_signed import local_authority, sign
from techsapo_ops.spec.models import Spec

pytestmark = pytest.mark.lab
LIFE = timedelta(seconds=30)
"""Of the short certificate."""


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with acme_edge(tmp_path_factory.mktemp("edge")) as made:
        made.techsapo("issue")
        yield made


def test_several_names_and_a_wildcard_come_by_dns_01(edge: Edge, tmp_path: Path) -> None:
    kept = edge.project.spec["certificates"]["techsapo"]
    names = [NAME, f"*.{NAME}", "www.example.com"]
    edge.certificate(names=names, dns_hook=edge.dns.hook(tmp_path))
    assert "the names of the certificate changed" in edge.techsapo("renew", "--dry-run", code=100)
    edge.techsapo("renew")
    shown = edge.served("deep." + NAME)
    assert set(names_of(shown)) == set(names)
    calls = (tmp_path / "dns-hook.log").read_text().splitlines()
    assert sorted(c for c in calls if c.startswith("set")) == sorted(
        f"set _acme-challenge.{n}" for n in (NAME, NAME, "www.example.com")
    )
    assert sum(c.startswith("clear") for c in calls) == 3
    edge.project.write(certificates={"techsapo": kept})
    assert "renew" in edge.techsapo("renew")


def test_a_revoked_certificate_needs_attention_until_it_is_renewed(edge: Edge) -> None:
    edge.techsapo("issue")
    serial = f"{edge.served().serial_number:x}"
    edge.techsapo("revoke", "techsapo", code=1)
    assert edge.ca.certificate_status(serial) == "Valid"
    edge.techsapo("revoke", "techsapo", "--reason", "keyCompromise", "--yes")
    assert edge.ca.certificate_status(serial) == "Revoked"
    (edge.folder / "state.json").write_text(json.dumps({**edge.state(), "revoked": None}))  # killed then
    edge.techsapo("revoke", "techsapo", "--yes")
    done = actions(chain_of(edge.project.layout).read())
    revoked = [(a.outcome, a.what["reason"]) for a in done if a.action == "certs revoke"]
    assert revoked[-2:] == [("done", "keyCompromise"), ("done", "unspecified")]
    assert "renew is due: the certificate was revoked" in edge.status(code=1)["attention"]
    edge.techsapo("renew")
    assert f"{edge.served().serial_number:x}" != serial
    assert edge.status()["attention"] == []


def test_a_ca_that_binds_accounts_is_told_what_to_set_and_issues_once_both_are_right(
    edge: Edge, tmp_path: Path
) -> None:
    kept, before = edge.project.spec["certificates"], edge.served()
    right, other = (
        "bWFjLWtleS1vZi10aGUtYWNjb3VudC1hdC10aGUtc2l0ZQ",
        "c29tZXRoaW5nLWVsc2UtdGhhdC1pcy1hLWtleS10b28",
    )
    secret = tmp_path / "hmac"
    secret.write_text(f"{other}\n")
    port = edge.project.spec["nginx"]["listen"]
    with pebble(tmp_path / "p", edge.dns, port, bindings={"kid-1": right}) as strict:
        edge.certificate(directory=strict.directory, ca_file=str(strict.ca_file))
        said = edge.techsapo("renew", code=1)
        assert "externalAccountRequired" in said
        assert "set certificates.techsapo.eab_key_id and certificates.techsapo.eab_hmac_key_file" in said
        for key_id in ("kid-1", "kid-2"):
            edge.certificate(eab_key_id=key_id, eab_hmac_key_file=str(secret))
            said = edge.techsapo("renew", code=1)
            assert "compare certificates.techsapo.eab_key_id and its HMAC key" in said
            assert other not in said
        assert edge.served() == before
        secret.write_text(f"{right}\n")
        edge.certificate(eab_key_id="kid-1")
        assert "nginx serves it" in edge.techsapo("renew")
        assert strict.certificate_status(f"{edge.served().serial_number:x}") == "Valid"
        edge.techsapo("renew", "--force")
        assert strict.server.log().count("There are now 1 accounts") == 1
        edge.techsapo("revoke", "techsapo", "--yes")
        assert strict.certificate_status(f"{edge.served().serial_number:x}") == "Revoked"
    edge.project.write(certificates=kept)
    edge.techsapo("renew")


def test_what_nginx_refuses_is_taken_back_and_put_into_use_later(edge: Edge) -> None:
    before, live, orders = edge.served(), edge.live(), edge.orders()
    config = edge.project.state / "generated/nginx/nginx.conf"
    kept = config.read_text()
    config.write_text(kept + "no_such_directive on;\n")
    try:
        said = edge.techsapo("renew", "--force", code=1)
    finally:
        config.write_text(kept)
    assert "nginx -t refuses" in said
    assert "no_such_directive" in said
    assert f"rolled back to version {int(live)}" in said
    assert edge.live() == live
    assert edge.served() == before
    status = edge.status(code=1)
    assert status["failures"] == 1
    metrics = (edge.project.state / "textfile/certificates.prom").read_text()
    assert 'techsapo_cert_renewal_failures{name="techsapo",source="acme"} 1.0' in metrics
    assert "deploy done" in edge.techsapo("renew")
    assert edge.served() != before
    assert edge.orders() == orders + 1
    assert edge.status()["failures"] == 0


def test_renewals_under_load_fail_no_handshake(edge: Edge) -> None:
    kept = edge.project.spec["certificates"]
    # Made here: a CA would only add its own time between the reloads.
    edge.project.write(certificates={"techsapo": {"names": [NAME]}})
    edge.techsapo("renew")
    certificates = edge.certificates()
    with connecting(edge.tls_port, threads=8, pause=0.02) as clients:
        for _ in range(6):
            (result,) = renew(certificates, force=True)
            assert result.error is None, result.error
            assert result.served
    assert clients.failures == []
    assert len(clients.seen) == 7
    assert clients.handshakes > 60
    edge.project.write(certificates=kept)


def test_the_job_renews_a_short_certificate_before_it_ends_without_a_gap(edge: Edge, tmp_path: Path) -> None:
    kept = edge.project.spec["certificates"]
    seconds = int(LIFE.total_seconds())
    with pebble(tmp_path / "p", edge.dns, edge.project.spec["nginx"]["listen"], validity=seconds) as short:
        edge.certificate(directory=short.directory, ca_file=str(short.ca_file))
        edge.techsapo("renew")
        due = edge.served().not_valid_after_utc - LIFE / 2
        with connecting(edge.tls_port, threads=2, pause=0.05) as clients:

            def looked() -> bool:
                """As whoever starts the jobs does at each of its times."""
                edge.project.run("jobs", "run", "certs")
                return len(clients.seen) >= 2

            wait_for(lambda: datetime.now(UTC) >= due, what="half of its life")
            wait_for(looked, timeout=2 * seconds, what="another certificate")
        assert clients.failures == []
        assert clients.expired == 0
        seen = [x509.load_der_x509_certificate(der) for der in clients.seen]
        for before, after in itertools.pairwise(seen):
            assert after.not_valid_before_utc < before.not_valid_after_utc
            assert after.not_valid_before_utc - before.not_valid_before_utc > LIFE / 3
    edge.project.write(certificates=kept)
    edge.techsapo("renew")


@pytest.mark.nightly
def test_hooks_run_once_after_a_real_change_and_the_link_leads_to_the_chain_in_use(
    edge: Edge, tmp_path: Path
) -> None:
    kept = edge.project.spec["certificates"]["techsapo"]
    log, marker = tmp_path / "hooks.log", tmp_path / "fail"
    hook = tmp_path / "hook.sh"
    hook.write_text(f'#!/bin/sh\n[ ! -e {marker} ] && echo "$TECHSAPO_CERTIFICATE" >>{log}\n')
    hook.chmod(0o755)
    edge.certificate(deploy_hooks=[str(hook)], install_to=str(tmp_path / "ssl"))
    edge.techsapo("renew")
    edge.techsapo("deploy", "techsapo")
    assert not log.exists()
    marker.touch()
    assert "deploy hook" in edge.techsapo("renew", "--force", code=1)
    changed = edge.served()
    marker.unlink()
    assert "finish done" in edge.techsapo("renew")
    assert edge.served() == changed
    assert "nothing is due" in edge.techsapo("renew")
    assert log.read_text() == "techsapo\n"
    shown = subprocess.run(
        ["openssl", "x509", "-in", str(tmp_path / "ssl/techsapo.crt"), "-noout", "-serial"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert int(shown.strip().removeprefix("serial="), 16) == changed.serial_number
    (tmp_path / "ssl/techsapo.crt").unlink()
    (tmp_path / "ssl/techsapo.crt").write_text("someone else's")
    assert "was not created by this stack" in edge.techsapo("deploy", "techsapo", code=1)
    assert (tmp_path / "ssl/techsapo.crt").read_text() == "someone else's"
    edge.project.write(certificates={"techsapo": kept})
    edge.techsapo("renew")


def test_files_are_checked_before_nginx_gets_them_and_watched_for_new_ones(
    edge: Edge, tmp_path: Path
) -> None:
    kept = edge.project.spec["certificates"]
    now = edge.served().not_valid_before_utc
    authority = local_authority(tmp_path / "ca", now)
    right, other = (sign([NAME], authority, now=now) for _ in range(2))
    certificate, key = tmp_path / "my.pem", tmp_path / "my.key"

    def give(pem: bytes, private: bytes) -> None:
        certificate.write_bytes(pem)
        key.write_bytes(private)

    files = {"source": "files", "certificate_file": str(certificate), "private_key_file": str(key)}
    edge.project.write(certificates={"techsapo": {**files, "names": [NAME]}})
    before = edge.served()
    give(right.chain, other.key)
    assert "the private key belongs to another certificate" in edge.techsapo("renew", code=1)
    assert edge.served() == before
    give(right.chain, right.key)
    assert "take over done" in edge.techsapo("renew")
    assert edge.served() == right.leaf
    assert "nothing is due" in edge.techsapo("renew")
    give(other.chain, other.key)
    assert "take over is due: the files are new" in edge.status(code=1)["attention"]
    edge.techsapo("renew")
    assert edge.served() == other.leaf
    edge.project.write(certificates=kept)
    edge.techsapo("renew")


def test_the_commands_of_the_page_work_as_they_stand(edge: Edge, repository: Path) -> None:
    text, japanese = (
        (repository / "docs" / f"certificates{end}").read_text("utf-8") for end in (".md", ".ja.md")
    )
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert blocks == re.findall(r"^```sh\n(.*?)^```", japanese, re.MULTILINE | re.DOTALL)
    commands = [line.split() for block in blocks for line in block.splitlines()]
    said = []
    edge.techsapo("issue")
    with cron() as daemon:
        for words in commands:
            assert words[0] == "techsapo"
            if words[1] == "up":
                continue  # it is; and what it does is other pages' matter
            assert words[1] == "certs"
            if words[2] == "install-cron":
                said.append(daemon.techsapo(edge.project.directory, *words[1:]))
            else:
                said.append(edge.techsapo(*words[2:]))
    assert len(said) == 11
    assert sum("nothing is due" in s for s in said) >= 2
    (example,) = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert Spec.model_validate({"project": "techsapo", **read_yaml(example)}).served_certificate
