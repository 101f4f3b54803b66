"""Backups that another host has: who wants one is told where it lies."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rows import each_row
from stacks import spec, topology

from techsapo_ops.backup.repository.folder import Repository
from techsapo_ops.backup.repository.manifest import SAFETY_TAG, Manifest
from techsapo_ops.backup.repository.records import Places
from techsapo_ops.backup.telling import samples
from techsapo_ops.errors import OpsError
from techsapo_ops.services.app.backup import BACKUP

OLD, NEW, LAST = "20260101T000000Z", "20260102T000000Z", "20260103T000000Z"


def test_a_log_in_sqlite_of_one_host_is_not_brought_back_on_several_where_no_instance_reads_it(
    tmp_path: Path,
) -> None:
    three = {name: {"address": f"10.0.0.{n}", "docker": f"ssh://{name}"} for n, name in enumerate("abc", 1)}
    made = spec(engine="swarm", hosts=three, mysql={})
    stack: Any = SimpleNamespace(topology=topology(made, tmp_path, "swarm"))
    assert [BACKUP.homeless(stack, f"sqlite:{each}") for each in ("app", "app-1")] == [
        "the audit log is in MariaDB"
    ] * 2
    stack.topology = topology(spec(), tmp_path)
    assert BACKUP.homeless(stack, "sqlite:app") == ""


class Hosts:
    """Hosts a and b, whose notes are in one folder, as if it had travelled."""

    def __init__(self, tmp_path: Path, patch: pytest.MonkeyPatch) -> None:
        self.tmp_path, self._patch = tmp_path, patch

    def on(self, host: str) -> Repository:
        self._patch.setattr(socket, "gethostname", lambda: host)
        here = self.tmp_path / host
        return Repository(here, noted=self.tmp_path / "checks", places=Places(self.tmp_path / "notes", here))

    def back_up(self, host: str, name: str, tag: str = "") -> None:
        made = self.on(host)
        begun = datetime.strptime(name, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        partial = made.path / f"{name}.partial"
        partial.mkdir(parents=True)
        draft = Manifest.draft("shop", "swarm", tag, {})
        made.commit(partial, replace(draft, id=name, started=begun, ended=begun))
        made.places.note(b.read() for b in made.backups())


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hosts:
    return Hosts(tmp_path, monkeypatch)


def test_an_id_and_latest_say_on_which_host_the_backup_lies(hosts: Hosts) -> None:
    hosts.back_up("a", OLD)
    hosts.back_up("a", NEW)
    there = hosts.on("b")
    for word, found in ((OLD, OLD), ("20260101", OLD), ("latest", NEW)):
        with pytest.raises(OpsError) as error:
            there.find(word)
        assert error.value.message == f"backup {found} is on a, in {hosts.tmp_path}/a"
        assert (
            error.value.hint
            == f"run this command on that host, or copy the backup's folder into {hosts.tmp_path}/b"
        )
        assert error.value.exit_code == 2
    with pytest.raises(OpsError, match="there is no backup in"):
        there.find("2025")
    assert hosts.on("a").find("latest").id == NEW


def test_one_that_is_here_is_found_and_a_newer_one_elsewhere_is_told_to_who_wants_the_latest(
    hosts: Hosts,
) -> None:
    hosts.back_up("b", OLD)
    hosts.back_up("a", NEW)
    here = hosts.on("b")
    assert here.find("latest").id == OLD, "verify looks at what is here"
    with pytest.raises(
        OpsError, match=f"{NEW} is on a, in .*, and is newer than backup {OLD} on this host"
    ) as error:
        here.places.require_newest(here.find("latest").read())
    assert "or specify the backup by its id" in (error.value.hint or "")
    hosts.back_up("b", LAST)
    here.places.require_newest(hosts.on("b").find("latest").read())


def test_what_a_restore_put_aside_elsewhere_is_not_the_latest(hosts: Hosts) -> None:
    hosts.back_up("b", OLD)
    hosts.back_up("a", NEW, SAFETY_TAG)
    here = hosts.on("b")
    here.places.require_newest(here.find("latest").read())
    with pytest.raises(OpsError, match=f"{NEW} is on a, in"):
        here.find(NEW)


def test_a_host_forgets_those_that_it_has_no_more_and_none_of_anothers(hosts: Hosts) -> None:
    hosts.back_up("a", OLD)
    hosts.back_up("b", NEW)
    here = hosts.on("a")
    here.remove(here.find(OLD))
    here.places.note(b.read() for b in here.backups())
    assert [place.id for place in here.places.elsewhere()] == [NEW]
    assert hosts.on("b").places.elsewhere() == ()


@each_row(
    "content", ["{", "[]", "{}", '{"id": 1}', json.dumps({"begun": "2026-01-01T00:00:00", "sources": []})]
)
def test_a_note_that_cant_be_read_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    hosts = Hosts(tmp_path, monkeypatch)
    hosts.back_up("a", OLD)
    (hosts.tmp_path / "notes" / "damaged.json").write_text(content)
    places = hosts.on("b").places
    assert [place.id for place in places.elsewhere()] == [OLD]


def test_metrics_are_of_all_hosts_backups_whoever_writes_them(hosts: Hosts) -> None:
    """Else the host without any told that there is none, in place of the one that has them."""
    hosts.back_up("a", OLD)
    hosts.back_up("a", NEW)
    hosts.back_up("a", LAST, SAFETY_TAG)
    made = hosts.on("a")
    at = "2026-01-02T01:00:00+00:00"
    deep = {"ok": True, "at": at, "parts": [{"kind": "redis", "seconds": 1.5, "problems": []}]}
    (hosts.tmp_path / "checks").mkdir()
    (hosts.tmp_path / "checks" / f"{OLD}.json").write_text(json.dumps({"deep": deep}))

    def told(repository: Repository) -> dict[str, float]:
        return {s.metric.removeprefix("techsapo_backup"): s.value for s in samples(repository)}

    elsewhere = told(hosts.on("b"))
    assert elsewhere["s"] == 2
    assert elsewhere["_newest_timestamp_seconds"] == datetime(2026, 1, 2, tzinfo=UTC).timestamp()
    assert elsewhere["_newest_verified_timestamp_seconds"] == datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    assert elsewhere["_recovery_seconds"] == 1.5
    assert made.of_others() == ()
