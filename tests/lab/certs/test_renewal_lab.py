"""Renewal while clients connect: forced, and by the stack's own scheduler again and again."""

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
from projects import Project
from servers import wait_for

from techsapo_ops.operations.certificates.renew import renew
from techsapo_ops.schedule.runs import Runs

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


def test_the_stacks_own_scheduler_renews_a_short_certificate_twice_without_a_gap(
    edge: Edge, tmp_path: Path
) -> None:
    kept, others = edge.project.spec, dict.fromkeys(("backup", "verify", "prune", "drift", "costs"))
    with pebble(tmp_path / "p", edge.dns, kept["nginx"]["listen"], validity=LIFE) as short:
        edge.certificate(directory=short.directory, ca_file=str(short.ca_file))
        edge.techsapo("renew")
        # The schedule's own time never comes: what the scheduler follows is the certificate.
        edge.project.write(schedule={"by": "service", "certs": "0 4 29 2 *", **others})
        with connecting(edge.tls_port, threads=2, pause=0.01) as clients:
            edge.project.run("up", "--yes")
            wait_for(lambda: len(clients.seen) >= 3, timeout=LIFE * 4, what="two more certificates")
            wait_for(lambda: successes(edge.project, "service") >= 2, what="the end of the second run")
        assert clients.failures == []
        assert clients.expired == 0
        seen = [x509.load_der_x509_certificate(der) for der in clients.seen]
        for before, after in itertools.pairwise(seen):
            assert after.not_valid_before_utc < before.not_valid_after_utc
            assert after.not_valid_before_utc - before.not_valid_before_utc > timedelta(seconds=LIFE / 3)
    edge.project.spec = kept
    edge.project.write()
    edge.techsapo("renew")


def successes(of: Project, by: str) -> int:
    """How many runs of the job `certs` that `by` started have ended well."""
    return sum(run.by == by and run.ok for run in Runs(of.layout.jobs).of("certs"))
