"""Whose a backup is, by the MAC of its manifest; and what somebody plants in the folder of the backups."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import hostile
import pytest
from hostile import END, ID, entry, names_of
from rows import each_row

from techsapo_ops.adapters.packed import file_sha256
from techsapo_ops.backup.kinds.config_archive import ConfigSource
from techsapo_ops.backup.prune import Known, judge
from techsapo_ops.backup.repository.create import create
from techsapo_ops.backup.repository.folder import MANIFEST, SUMS, Backup, Repository
from techsapo_ops.backup.repository.manifest import LAST_SEQUENCE, Manifest
from techsapo_ops.backup.repository.origin import KEY, MAC, Keyring, State
from techsapo_ops.backup.repository.verify import faults
from techsapo_ops.backup.telling import samples
from techsapo_ops.errors import OpsError
from techsapo_ops.spec.models.upkeep import Keep

AT = datetime(2026, 1, 31, 3, tzinfo=UTC)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return in_folder(tmp_path)


def in_folder(folder: Path) -> Repository:
    return Repository(folder / "backups", Keyring(folder / "keys"), folder / "checks")


def make(repository: Repository, at: datetime = AT) -> Backup:
    """A backup of one file, as `techsapo backup` makes it."""
    file = repository.path.parent / "file"
    file.write_text("content")
    with repository.lock():
        repository.make_key()
        return create(
            repository, Manifest.draft("lab", "native"), (ConfigSource({"file": file}),), lambda: at
        )


def old(repository: Repository) -> Backup:
    """A backup without a MAC."""
    pieces = (entry("techsapo.yaml"), END)
    hostile.write(repository.path, pieces, names_of(pieces))
    return repository.find(ID)


def origin(repository: Repository, id_: str) -> tuple[State, str]:
    found = repository.origin(repository.find(id_))
    return found.state, found.why


def resummed(folder: Path) -> None:
    """Digests that fit what is there, as whoever changes a backup writes them."""
    listed = sorted(p for p in folder.iterdir() if p.name not in {SUMS, MAC})
    (folder / SUMS).write_text("".join(f"{file_sha256(p.resolve())}  {p.name}\n" for p in listed))


def test_a_new_backup_has_the_mac_of_rfc_2104_over_its_manifest_behind_a_word_of_its_own(
    repository: Repository,
) -> None:
    backup = make(repository)
    key = json.loads((repository.keyring.folder / KEY).read_text())
    data = (backup.folder / MANIFEST).read_bytes()
    written = b"15 backup manifest%d %s" % (len(data), data)
    wanted = hmac.new(bytes.fromhex(key["key"]), written, hashlib.sha256)
    assert (backup.folder / MAC).read_text() == f"1 {key['id']} {wanted.hexdigest()}\n"
    assert faults(backup, repository.origin(backup)) == []
    assert origin(repository, backup.id) == (State.AUTHENTICATED, "")
    assert (repository.keyring.folder / KEY).stat().st_mode & 0o777 == 0o600
    assert repository.keyring.folder.stat().st_mode & 0o777 == 0o700
    assert key["key"] not in repr(list(repository.keyring._every()))


def edited(folder: Path) -> None:
    (folder / MANIFEST).write_text((folder / MANIFEST).read_text().replace('"tag": ""', '"tag": "x"'))


def without_mac(folder: Path) -> None:
    (folder / MAC).unlink()


def of_another_key(folder: Path) -> None:
    stranger = Keyring(folder.parent / "stranger")
    stranger.make()
    (folder / MAC).write_bytes(stranger.mac((folder / MANIFEST).read_bytes()))
    shutil.rmtree(stranger.folder)


def cut(folder: Path) -> None:
    (folder / MAC).write_text("1 0123")


def link(folder: Path) -> None:
    (folder / MAC).rename(folder.parent / "elsewhere")
    (folder / MAC).symlink_to(folder.parent / "elsewhere")


CHANGED: dict[str, tuple[Callable[[Path], None], str, State]] = {
    "edited": (edited, "the manifest does not match its MAC", State.TAMPERED),
    "without its MAC": (without_mac, "it has no MAC", State.UNAUTHENTICATED),
    "with a MAC by another key": (of_another_key, "its MAC was made with another key", State.UNAUTHENTICATED),
    "with a MAC that is cut": (cut, "manifest.mac holds no MAC", State.TAMPERED),
    "with a link in its place": (link, "manifest.mac holds no MAC", State.TAMPERED),
}


@each_row("name", CHANGED)
def test_a_backup_that_was_changed_is_known_though_every_digest_fits(
    name: str, repository: Repository
) -> None:
    backup = make(repository)
    change, why, state = CHANGED[name]
    change(backup.folder)
    resummed(backup.folder)
    found = repository.find(backup.id)
    origin = repository.origin(found)
    assert (origin.state, origin.ours) == (state, False)
    (said,) = faults(found, origin)
    assert why in said
    assert repository.ours() == ()


def test_a_backup_under_the_name_of_another_is_damaged(repository: Repository) -> None:
    backup = make(repository)
    backup.folder.rename(repository.path / ID)
    assert "belongs to another backup" in repository.find(ID).damage


def test_one_without_a_mac_is_accepted_by_hand_as_it_is(repository: Repository) -> None:
    make(repository)
    later = old(repository)
    with repository.lock():
        repository.accept(later)
        repository.accept(later)
    assert origin(repository, ID) == (State.AUTHENTICATED, "")
    assert faults(repository.find(ID), repository.origin(repository.find(ID))) == []
    edited(later.folder)
    resummed(later.folder)
    with repository.lock(), pytest.raises(OpsError, match="can't be accepted: the manifest does"):
        repository.accept(repository.find(ID))


def test_one_that_changed_since_it_was_read_is_not_accepted(repository: Repository) -> None:
    later = old(repository)
    edited(later.folder)
    with repository.lock(), pytest.raises(OpsError, match="changed while it was being read"):
        repository.accept(later)
    assert not (later.folder / MAC).exists()


def test_with_a_lost_key_old_backups_are_unauthenticated_until_it_is_put_back_beside(
    repository: Repository,
) -> None:
    first = make(repository)
    keys = repository.keyring.folder
    away = (keys / KEY).rename(keys.parent / "from off-site.json")
    state, why = origin(repository, first.id)
    assert state is State.UNAUTHENTICATED
    assert "its MAC was made with another key" in why
    second = make(repository)
    assert origin(repository, first.id)[0] is State.UNAUTHENTICATED
    away.rename(keys / "of-the-old-host.json")
    (keys / "of-the-old-host.json").chmod(0o600)
    assert [origin(repository, b.id)[0] for b in (first, second)] == [State.AUTHENTICATED] * 2


def test_a_key_is_never_overwritten_and_of_those_who_make_it_at_once_one_does(tmp_path: Path) -> None:
    at_once = threading.Barrier(3)

    def make(_: int) -> tuple[bool, bytes]:
        ring = Keyring(tmp_path / "keys")
        at_once.wait(10)
        return ring.make(), ring.mac(b"x")

    with ThreadPoolExecutor(3) as pool:
        said = list(pool.map(make, range(3)))
    assert sorted(made for made, _ in said) == [False, False, True]
    assert len({mac for _, mac in said}) == 1
    assert [p.name for p in (tmp_path / "keys").iterdir()] == [KEY]


def test_a_key_that_is_a_link_others_may_write_or_holds_none_is_refused(tmp_path: Path) -> None:
    ring = Keyring(tmp_path / "keys")
    ring.make()
    path = ring.folder / KEY
    path.chmod(0o666)
    with pytest.raises(OpsError, match="others can write to it"):
        ring.mac(b"")
    path.chmod(0o600)
    path.write_text('{"key": "00"}')
    with pytest.raises(OpsError, match="it holds no key"):
        ring.mac(b"")
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    assert ring.make() is False
    assert not (tmp_path / "elsewhere").exists()
    with pytest.raises(OpsError, match="cannot read"):
        ring.mac(b"")


def test_no_half_of_a_key_is_left_by_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Keyring(tmp_path / "keys")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OpsError, match="No space left"):
        ring.make()
    assert list(ring.folder.iterdir()) == []


def test_a_backup_that_could_not_be_read_again_is_not_made(repository: Repository) -> None:
    make(repository)
    source = ConfigSource({"../file": repository.path / ".lock"})
    with repository.lock(), pytest.raises(OpsError, match="damaged"):
        create(repository, Manifest.draft("lab", "native"), (source,), lambda: datetime.now(UTC))
    assert len(list(repository.path.glob("2*"))) == 1


PLANTED = "20991231T000000Z"


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
    repository = in_folder(tmp_path)
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
    assert real.reasons == ("daily 1 of 1", "the newest good backup")
    assert stays.keep
    assert stays.reasons == ("tampered with: inspect it, then remove it by hand",)


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
        f"{part} has changed since it was written: it has {2**42} bytes"
    ]


def test_of_a_backup_that_is_not_ours_nothing_is_read(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says itself how large its files are."""
    backup = make(repository)
    (backup.folder / MAC).unlink()

    def read(_: Path) -> str:
        raise AssertionError("it was read")

    monkeypatch.setattr("techsapo_ops.backup.repository.verify.file_sha256", read)
    (said,) = faults(backup, repository.origin(backup))
    assert said.startswith(
        "the backup is unauthenticated: it has no MAC; if it is yours, run `techsapo backup accept"
    )


@each_row("ending", ["partial", "removed"])
def test_a_link_planted_where_a_killed_backup_leaves_a_folder_goes_and_what_it_leads_to_stays(
    tmp_path: Path, ending: str
) -> None:
    repository = in_folder(tmp_path)
    repository.path.mkdir()
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").touch()
    (repository.path / f"x.{ending}").symlink_to(tmp_path / "precious")
    (repository.path / f"y.{ending}").touch()
    make(repository)
    assert not list(repository.path.glob(f"*.{ending}"))
    assert (tmp_path / "precious/file").exists()
