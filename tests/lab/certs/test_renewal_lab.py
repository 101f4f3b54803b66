"""Renewal while clients connect: forced, and by the job again and again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from acme_ca import pebble
from cryptography import x509
from edges import NAME, Edge, acme_edge
from handshakes import connecting
from servers import wait_for

from techsapo_ops.certs.renew import renew

pytestmark = pytest.mark.lab
LIFE = 30
"""Seconds that the short certificate lives."""


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with acme_edge(tmp_path_factory.mktemp("edge")) as made:
        made.techsapo("issue")
        yield made


def test_renewals_under_load_fail_no_handshake(edge: Edge) -> None:
    kept = edge.project.spec["certificates"]
    # Made here: a CA would only add its own time between the reloads.
    edge.project.write(certificates={"techsapo": {"names": [NAME]}})
    edge.techsapo("renew")
    certificates = edge.certificates()
    with connecting(edge.tls_port, threads=8) as clients:
        for _ in range(6):
            (result,) = renew(certificates, force=True)
            assert result.error is None, result.error
            assert result.served
    assert clients.failures == []
    assert len(clients.seen) == 7
    assert clients.handshakes > 60
    edge.project.write(certificates=kept)


def test_the_job_renews_a_short_certificate_before_it_ends_without_a_gap(edge: Edge, tmp_path: Path) -> None:
    kept = edge.project.spec
    with pebble(tmp_path / "p", edge.dns, kept["nginx"]["listen"], validity=LIFE) as short:
        edge.certificate(directory=short.directory, ca_file=str(short.ca_file))
        edge.techsapo("renew")
        with connecting(edge.tls_port, threads=2, pause=0.01) as clients:

            def looked() -> bool:
                """As whoever starts the jobs does at each of its times; most find nothing due."""
                edge.project.run("jobs", "run", "certs")
                return len(clients.seen) >= 2

            wait_for(looked, timeout=LIFE * 2, what="another certificate")
        assert clients.failures == []
        assert clients.expired == 0
        seen = [x509.load_der_x509_certificate(der) for der in clients.seen]
        for before, after in itertools.pairwise(seen):
            assert after.not_valid_before_utc < before.not_valid_after_utc
            assert after.not_valid_before_utc - before.not_valid_before_utc > timedelta(seconds=LIFE / 3)
    edge.project.spec = kept
    edge.project.write()
    edge.techsapo("renew")
