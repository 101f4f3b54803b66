"""A Redis that speaks TLS alone, by a certificate that `up` makes, renews and hands on."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import redis
from cryptography import x509
from guarded_redis import client, fetched, guarded_spec
from projects import Project, project
from servers import wait_for

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.probe import probe
from techsapo_ops.adapters.tls import served_certificate
from techsapo_ops.adapters.tls_trust import trust_problem
from techsapo_ops.certs.self_signed import ensure
from techsapo_ops.stack.own_tls import ca_file, certificate
from techsapo_ops.stack.service_facts import Probe

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def lab() -> Iterator[Project]:
    with project(guarded_spec(tls=True)) as made:
        made.run("up")
        yield made


def address(made: Project) -> Address:
    return Address("127.0.0.1", made.spec["redis"]["port"])


def served(made: Project) -> x509.Certificate:
    return x509.load_der_x509_certificate(served_certificate(address(made), None, timeout=5))


def kept(made: Project) -> x509.Certificate:
    return x509.load_pem_x509_certificate((certificate(made.layout, "redis") / "fullchain.pem").read_bytes())


def planned(made: Project, code: int = 100) -> dict[str, str]:
    steps = json.loads(made.run("plan", "--json", code=code).stdout)["steps"]
    return {s["service"]: s["reason"] for s in steps if s["action"] != "nothing"}


def made_ago(made: Project, days: int) -> None:
    """Give Redis a certificate of so many days ago, as its next start would read it."""
    folder = certificate(made.layout, "redis")
    key = folder / "privkey.pem"
    owner = key.stat()
    key.unlink()
    names = ["redis", "localhost", "127.0.0.1", "::1"]
    ensure(folder, names, days=365, now=datetime.now(UTC) - timedelta(days=days))
    os.chown(key, owner.st_uid, owner.st_gid)


def in_use(made: Project) -> tuple[str, str]:
    """What the app uses as its cache, and whether the exporter reads Redis."""
    cache = json.loads(fetched(made.spec["app"]["port"], "/api/v1/health"))["dependencies"]["cache"]
    metrics = fetched(made.spec["monitoring"]["exporters"]["redis"]["port"], "/metrics")
    return cache["in_use"], next(line for line in metrics.splitlines() if line.startswith("redis_up "))


GOOD = ("redis", "redis_up 1")


def test_without_tls_nobody_gets_a_word(lab: Project) -> None:
    with pytest.raises(redis.ConnectionError):
        redis.Redis(port=lab.spec["redis"]["port"]).ping()
    with pytest.raises(redis.AuthenticationError):
        client(lab, username=None, password=None).ping()
    assert client(lab).ping()


def test_the_certificate_is_for_every_name_and_trusted_by_its_ca_alone(lab: Project) -> None:
    ca = ca_file(lab.layout, "redis")
    for name in ("127.0.0.1", "localhost", "::1", "redis"):
        assert trust_problem(address(lab), name, timeout=5, ca_file=ca) == ""
    assert "mismatch" in trust_problem(address(lab), "other.example", timeout=5, ca_file=ca)
    assert trust_problem(address(lab), "localhost", timeout=5) != ""
    left = served(lab).not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=364) < left < timedelta(days=366)


def test_the_key_is_redis_own_and_the_ca_key_the_tools(lab: Project) -> None:
    key = (certificate(lab.layout, "redis") / "privkey.pem").stat()
    assert stat.S_IMODE(key.st_mode) == 0o600
    user = next(p for p in lab.members() if "redis-server" in p.name())
    assert key.st_uid == user.uids().effective
    ca = certificate(lab.layout, "redis").parent / ".ca"
    assert (stat.S_IMODE(ca.stat().st_mode), ca.stat().st_uid) == (0o700, os.geteuid())
    assert stat.S_IMODE(ca_file(lab.layout, "redis").stat().st_mode) == 0o644


def test_a_probe_tells_what_it_does_not_trust(lab: Project) -> None:
    stranger = lab.directory / "stranger"
    ensure(stranger, ["localhost"], now=datetime.now(UTC))
    found = probe(Probe("redis"), address(lab), timeout=5, ca=lab.directory / ".ca" / "ca.pem")
    assert "not to be trusted" in found.detail
    found = probe(Probe("redis"), address(lab), timeout=5, ca=lab.directory / "nowhere.pem")
    assert "nowhere.pem can't be read" in found.detail
    assert not probe(Probe("redis"), address(lab), timeout=5).ok


def test_nothing_is_left_to_do_after_up(lab: Project) -> None:
    assert planned(lab, code=0) == {}
    assert lab.findings(code=0) == {}


def test_a_certificate_that_is_due_is_a_planned_change_and_up_renews_it(lab: Project) -> None:
    before = lab.pids()
    made_ago(lab, 260)
    old = kept(lab)
    assert planned(lab) == {"redis": "a new certificate, for it is due for renewal"}
    assert lab.findings() == {"redis": "a new certificate, for it is due for renewal"}
    lab.run("up")
    assert kept(lab) != old
    assert served(lab) == kept(lab)
    after = lab.pids()
    assert {name for name in after if after[name] != before[name]} == {"redis"}
    assert in_use(lab) == GOOD
    assert planned(lab, code=0) == {}


def test_one_that_has_expired_is_told_by_health_and_renewed_by_up(lab: Project) -> None:
    made_ago(lab, 400)
    next(p for p in lab.members() if "redis-server" in p.name()).kill()  # supervisor starts it again

    def told() -> bool:
        probes = {p["name"]: p["detail"] for p in lab.health()["probes"]}
        return "not to be trusted: certificate has expired" in probes["redis"]

    wait_for(told, what="an expired certificate that is served")
    assert planned(lab) == {"redis": "a new certificate, for it had expired"}
    lab.run("up")
    assert client(lab).ping()
    assert served(lab) == kept(lab)


def test_a_renewal_whose_up_was_killed_is_seen_by_the_next(lab: Project) -> None:
    chain = certificate(lab.layout, "redis") / "fullchain.pem"
    later = datetime.now(UTC).timestamp() + 60
    os.utime(chain, (later, later))
    assert planned(lab) == {"redis": "its certificate was renewed after it was started"}
    os.utime(chain, (1, 1))


def test_another_ca_reaches_all_that_trust_it(lab: Project) -> None:
    old = ca_file(lab.layout, "redis").read_bytes()
    (certificate(lab.layout, "redis").parent / ".ca" / "ca.pem").unlink()
    assert set(planned(lab)) == {"redis", "app", "redis-exporter"}
    lab.run("up")
    assert ca_file(lab.layout, "redis").read_bytes() != old
    assert in_use(lab) == GOOD
    assert planned(lab, code=0) == {}


def test_tls_is_turned_off_and_on_by_up(lab: Project) -> None:
    login = lab.spec["redis"]
    lab.write(redis={**login, "tls": False})
    lab.run("up")
    assert client(lab).ping()
    assert in_use(lab) == GOOD
    lab.write(redis=login)
    lab.run("up")
    assert client(lab).ping()
    assert in_use(lab) == GOOD
    lab.run("rollback", "--yes")
    assert in_use(lab) == GOOD
