"""What somebody plants in the folder of the backups: no alert, no other backup and no run depends on it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import hostile
import pytest
from rows import each_row

from techsapo_ops.backup.config_archive import ConfigSource
from techsapo_ops.backup.create import create
from techsapo_ops.backup.manifest import LAST_SEQUENCE, Manifest
from techsapo_ops.backup.origin import MAC, Keyring, State
from techsapo_ops.backup.repository import MANIFEST, Backup, Repository
from techsapo_ops.backup.retention import Known, judge
from techsapo_ops.backup.verify import faults
from techsapo_ops.operations.backup.metrics import samples
from techsapo_ops.spec.models.data import Keep

AT = datetime(2026, 1, 31, 3, tzinfo=UTC)
PLANTED = "20991231T000000Z"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return repository_in(tmp_path)


def repository_in(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "backups", Keyring(tmp_path / "keys"), tmp_path / "checks")


def make(repository: Repository, at: datetime = AT) -> Backup:
    file = repository.path.parent / "file"
    file.write_text("content")
    with repository.lock():
        repository.make_key()
        return create(
            repository, Manifest.draft("lab", "native"), (ConfigSource({"file": file}),), lambda: at
        )


def plant(repository: Repository, backup: Backup, sequence: int = 1000) -> Backup:
    """A copy under another id and of a time that is yet to come, whose digests fit."""
    folder = repository.path / PLANTED
    shutil.copytree(backup.folder, folder)
    found = json.loads((folder / MANIFEST).read_text())
    when = "2099-12-31T00:00:00+00:00"
    found |= {"id": PLANTED, "sequence": sequence, "started": when, "ended": when}
    hostile.described(folder, json.dumps(found).encode())
    return repository.find(PLANTED)


def metrics(repository: Repository) -> dict[str, float]:
    return {sample.metric: sample.value for sample in samples(repository)}


def nested(path: Path) -> None:
    path.write_text("[" * 300_000)


def words(path: Path) -> None:
    path.write_text('{"deep": "x", "quick": {"ok": "yes"}, "offsite": {"ok": true, "at": "today"}, "x": []}')


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


@each_row("hurt", [nested, words, endless, os.mkfifo], ids=lambda each: each.__name__)
def test_a_note_of_a_backup_may_be_torn_or_anything(tmp_path: Path, hurt: Callable[[Path], None]) -> None:
    repository = repository_in(tmp_path)
    backup = make(repository)
    (tmp_path / "checks").mkdir()
    hurt(tmp_path / "checks" / f"{backup.id}.json")
    assert repository.checks(backup) == {}
    assert metrics(repository)["techsapo_backups"] == 1


def test_a_planted_backup_is_not_the_newest_that_alerts_know_of(repository: Repository) -> None:
    backup = make(repository)
    plant(repository, backup)
    found = metrics(repository)
    assert found["techsapo_backups"] == 1
    assert found["techsapo_backup_newest_timestamp_seconds"] == AT.timestamp()
    assert [b.id for b in repository.ours()] == [backup.id]


def test_a_tampered_backup_takes_no_others_place_and_stays_to_be_looked_at() -> None:
    keep = Keep(daily=1, weekly=0, monthly=0)
    planted = Known("planted", datetime(2099, 1, 1, tzinfo=UTC), deep=True, tampered=True)
    real, stays = judge([Known("real", AT), planted], keep, UTC, ())
    assert real.reasons == ("daily 1 of 1", "the newest good one")
    assert stays.keep
    assert stays.reasons == ("tampered with: look at it, then remove it by hand",)


def test_after_a_planted_backup_with_the_last_number_there_is_another_can_be_made(
    repository: Repository,
) -> None:
    plant(repository, make(repository), LAST_SEQUENCE)
    made = make(repository, datetime(2026, 2, 1, 3, tzinfo=UTC))
    assert repository.origin(made).state is State.AUTHENTICATED
    assert repository.find("latest").id == PLANTED, "which verify tells of"


def test_a_file_of_terabytes_is_not_read(repository: Repository) -> None:
    backup = make(repository)
    part = backup.read().parts[0].file
    os.truncate(backup.folder / part, 2**42)
    assert faults(backup, repository.origin(backup)) == [
        f"{part} is not what was written: it has {2**42} bytes"
    ]


def test_of_a_backup_that_is_not_ours_nothing_is_read(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says itself how large its files are."""
    backup = make(repository)
    (backup.folder / MAC).unlink()

    def read(_: Path) -> str:
        raise AssertionError("it was read")

    monkeypatch.setattr("techsapo_ops.backup.verify.file_sha256", read)
    (said,) = faults(backup, repository.origin(backup))
    assert said.startswith("it is unauthenticated: it has no MAC; where it is yours: `techsapo backup accept")


@each_row("ending", ["partial", "removed"])
def test_a_link_planted_where_a_killed_backup_leaves_a_folder_goes_and_what_it_leads_to_stays(
    tmp_path: Path, ending: str
) -> None:
    repository = repository_in(tmp_path)
    repository.path.mkdir()
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").touch()
    (repository.path / f"x.{ending}").symlink_to(tmp_path / "precious")
    (repository.path / f"y.{ending}").touch()
    make(repository)
    assert not list(repository.path.glob(f"*.{ending}"))
    assert (tmp_path / "precious/file").exists()
