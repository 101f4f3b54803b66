"""What a plan has to say of the certificate of Redis."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rows import each_row
from stacks import spec, topology

from techsapo_ops.certs.own import ensure_own_certificates, with_own_certificates
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.observed import Observed, ObservedService, State
from techsapo_ops.stack.own_tls import ca_file, own_tls
from techsapo_ops.stack.step import Action, Plan, Step
from techsapo_ops.stack.topology import Topology

SECURE = spec(redis={"tls": True})
SERVICES = ("redis", "app", "redis-exporter", "nginx")


def reasons(
    model: Spec, where: Topology, started: datetime | None, action: Action = Action.NOTHING
) -> dict[str, str]:
    """Why services that were `started` then, and are to have `action`, are started anew."""
    plan = Plan(tuple(Step(action, name, "up to date") for name in SERVICES))
    seen = {name: ObservedService(name, name, State.RUNNING, started=started) for name in SERVICES}
    found = with_own_certificates(plan, where, Observed(True, seen))
    assert [step.service for step in found.steps] == list(SERVICES)
    return {step.service: step.reason for step in found.steps if step.action is Action.RESTART}


@each_row(
    "host, more",
    [("127.0.0.1", ()), ("0.0.0.0", ()), ("localhost", ()), ("::", ()), ("10.1.2.3", ("10.1.2.3",))],
)
def test_the_certificate_has_every_name_that_a_client_uses(
    tmp_path: Path, host: str, more: tuple[str, ...]
) -> None:
    made = spec(redis={"tls": True, "host": host})
    where = topology(made, tmp_path)
    tls = own_tls(where, where.of_kind("redis")[0])
    assert tls.names == ("redis", "localhost", "127.0.0.1", "::1", *more)


def test_what_is_not_there_concerns_redis_and_its_clients_until_it_is_made(tmp_path: Path) -> None:
    where, now = topology(SECURE, tmp_path), datetime.now(UTC)
    assert set(reasons(SECURE, where, now)) == {"redis", "app", "redis-exporter"}
    assert list(tmp_path.rglob("*")) == []
    assert reasons(SECURE, where, now, Action.RECREATE) == {}
    ensure_own_certificates(where)
    made = {p: p.read_bytes() for p in tmp_path.rglob("*.*") if p.is_file()}
    assert reasons(SECURE, where, now) == {}
    ensure_own_certificates(where)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*.*") if p.is_file()} == made


def test_another_address_is_a_reason_for_redis_alone(tmp_path: Path) -> None:
    where = topology(SECURE, tmp_path)
    ensure_own_certificates(where)
    moved = spec(redis={"tls": True, "host": "10.1.2.3"})
    found = reasons(moved, topology(moved, tmp_path), datetime.now(UTC))
    assert found == {"redis": "a new certificate: the names of the certificate changed"}


def test_a_ca_that_its_maker_could_not_hand_on_is_handed_on(tmp_path: Path) -> None:
    where, now = topology(SECURE, tmp_path), datetime.now(UTC)
    ensure_own_certificates(where)
    ca = ca_file(where.layout, "redis")
    made = ca.read_bytes()
    ca.write_text("another")
    assert set(reasons(SECURE, where, now + timedelta(hours=1))) == {"app", "redis-exporter"}
    ensure_own_certificates(where)
    assert ca.read_bytes() == made


def test_what_was_written_after_a_start_was_not_read(tmp_path: Path) -> None:
    where, now = topology(SECURE, tmp_path), datetime.now(UTC)
    ensure_own_certificates(where)
    old = (now - timedelta(hours=1)).timestamp()
    os.utime(ca_file(where.layout, "redis"), (old, old))
    assert set(reasons(SECURE, where, now - timedelta(minutes=1))) == {"redis"}
    assert set(reasons(SECURE, where, now - timedelta(hours=2))) == {"redis", "app", "redis-exporter"}
    assert reasons(SECURE, where, None) == {}
