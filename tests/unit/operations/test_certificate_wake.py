"""When the scheduler is to come for certificates, beside the times of the schedule."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rows import each_row
from stacks import spec, topology

from techsapo_ops.adapters.process import SubprocessRunner
from techsapo_ops.certs.self_signed import local_authority, sign
from techsapo_ops.certs.state import CertificateState
from techsapo_ops.certs.store import Origin
from techsapo_ops.operations.certificates.needs import Certificates
from techsapo_ops.operations.certificates.renew import renew
from techsapo_ops.operations.certificates.wake import wake_for
from techsapo_ops.schedule.runs import Runs

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DIRECTORY = "https://ca.example/dir"


def certificates(folder: Path, **days: int) -> Certificates:
    """Certificates from a CA, each stored and in use, that live for so many days."""
    names = {name: {"source": "acme", "names": [f"{name}.example"], "directory": DIRECTORY} for name in days}
    model = spec(certificates=names)
    made = Certificates(topology(model, folder), SubprocessRunner(), now=lambda: NOW)
    authority = local_authority(made.topology.layout.certs / ".ca", NOW)
    for name, life in days.items():
        store = made.store(name)
        pair = sign([f"{name}.example"], authority, now=NOW, days=life)
        version = store.put(pair, Origin("acme", DIRECTORY))
        store.activate(version)
        store.remember(CertificateState(deployed=version.number))
    return made


def wake(made: Certificates) -> datetime | None:
    return Runs(made.topology.layout.jobs).wake_at("certs")


def test_the_first_of_the_renewals_is_when_the_scheduler_comes(tmp_path: Path) -> None:
    made = certificates(tmp_path, long=90, short=6, middle=30)
    wake_for(made)
    assert wake(made) == made.due("short").at
    wake_for(replace(made, now=lambda: NOW + timedelta(days=4)))  # short is due, which a run sees to
    assert wake(made) == made.due("middle").at


def test_a_run_notes_it_and_a_stack_without_certificates_has_none(tmp_path: Path) -> None:
    made = certificates(tmp_path, short=6)
    store = made.store("short")
    leaf = made.due("short").at
    serial = f"{store.newest().pair.leaf.serial_number:x}"  # type: ignore[union-attr] # it was stored
    store.remember(
        replace(store.state, window_serial=serial, ask_window_at=NOW + timedelta(days=1))
    )  # so that the CA is not asked
    renew(made)
    assert wake(made) == leaf
    empty = replace(made, topology=replace(made.topology, spec=spec()))
    wake_for(empty)
    assert wake(empty) is None


@each_row(
    "days, left, hours",
    [
        (6, timedelta(days=3), 18),
        (6, timedelta(hours=4), 1),
        (6, timedelta(minutes=2), 1 / 60),
        (90, timedelta(days=30), 180),
    ],
)
def test_after_a_failure_it_comes_more_often_towards_the_end(
    tmp_path: Path, days: int, left: timedelta, hours: float
) -> None:
    made = certificates(tmp_path, site=days)
    end = made.store("site").newest().pair.leaf.not_valid_after_utc  # type: ignore[union-attr] # as above
    now = end - left
    late = replace(made, now=lambda: now)
    wake_for(late, ["site"])
    assert wake(late) == now + timedelta(hours=hours)


def test_a_ca_that_wants_to_be_left_alone_is(tmp_path: Path) -> None:
    made = certificates(tmp_path, site=6)
    store, until = made.store("site"), NOW + timedelta(days=5)
    store.remember(replace(store.state, retry_at=until))
    wake_for(made, ["site"])
    assert wake(made) == until
