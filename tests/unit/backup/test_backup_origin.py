"""Whose a backup is: by the MAC of its manifest, and by what was there when the key was made."""

from __future__ import annotations

import hashlib
import hmac
import json
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
from techsapo_ops.backup.config_archive import ConfigSource
from techsapo_ops.backup.create import create
from techsapo_ops.backup.manifest import Manifest
from techsapo_ops.backup.origin import KEY, MAC, Keyring, State
from techsapo_ops.backup.repository import MANIFEST, SUMS, Backup, Repository
from techsapo_ops.backup.verify import check_sums
from techsapo_ops.errors import OpsError


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "backups", Keyring(tmp_path / "keys"))


def make(repository: Repository, at: datetime = datetime(2026, 1, 31, 3, tzinfo=UTC)) -> Backup:
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
    listed = sorted(p for p in folder.iterdir() if p.name != SUMS)
    (folder / SUMS).write_text("".join(f"{file_sha256(p.resolve())}  {p.name}\n" for p in listed))


def test_a_new_backup_has_the_mac_of_rfc_2104_over_its_manifest_behind_a_word_of_its_own(
    repository: Repository,
) -> None:
    backup = make(repository)
    assert repository.keyring is not None
    key = json.loads((repository.keyring.folder / KEY).read_text())
    data = (backup.folder / MANIFEST).read_bytes()
    written = b"15 backup manifest%d %s" % (len(data), data)
    wanted = hmac.new(bytes.fromhex(key["key"]), written, hashlib.sha256)
    assert (backup.folder / MAC).read_text() == f"1 {key['id']} {wanted.hexdigest()}\n"
    assert check_sums(backup) == []
    assert origin(repository, backup.id) == (State.AUTHENTICATED, "")
    assert (repository.keyring.folder / KEY).stat().st_mode & 0o777 == 0o600
    assert repository.keyring.folder.stat().st_mode & 0o777 == 0o700
    assert key["key"] not in repr(repository.keyring._current())


def edited(folder: Path) -> None:
    (folder / MANIFEST).write_text((folder / MANIFEST).read_text().replace('"tag": ""', '"tag": "x"'))


def without_mac(folder: Path) -> None:
    (folder / MAC).unlink()


def of_another_key(folder: Path) -> None:
    stranger = Keyring(folder.parent / "stranger")
    stranger.make({})
    (folder / MAC).write_bytes(stranger.mac((folder / MANIFEST).read_bytes()))
    shutil.rmtree(stranger.folder)


def cut(folder: Path) -> None:
    (folder / MAC).write_text("1 0123")


def link(folder: Path) -> None:
    (folder / MAC).rename(folder.parent / "elsewhere")
    (folder / MAC).symlink_to(folder.parent / "elsewhere")


TAMPERED: dict[str, tuple[Callable[[Path], None], str, bool]] = {
    "edited": (edited, "the MAC of its manifest is wrong", False),
    "without its MAC": (without_mac, "it has no MAC, though it was not there when the key was made", True),
    "with a MAC by another key": (of_another_key, "its MAC is by another key", True),
    "with a MAC that is cut": (cut, "manifest.mac holds no MAC", False),
    "with a link in its place": (link, "manifest.mac holds no MAC", False),
}


@each_row("name", TAMPERED)
def test_a_backup_that_was_changed_is_known_though_every_digest_fits(
    name: str, repository: Repository
) -> None:
    backup = make(repository)
    change, why, acceptable = TAMPERED[name]
    change(backup.folder)
    resummed(backup.folder)
    found = repository.origin(repository.find(backup.id))
    assert (found.state, found.acceptable) == (State.TAMPERED, acceptable)
    assert why in found.why


def test_a_backup_under_the_name_of_another_is_damaged(repository: Repository) -> None:
    backup = make(repository)
    backup.folder.rename(repository.path / ID)
    assert "is that of another backup" in repository.find(ID).damage


def test_one_without_a_mac_is_accepted_by_hand_as_it_is(repository: Repository) -> None:
    make(repository)
    later = old(repository)
    with repository.lock():
        assert repository.accept(later).state is State.UNAUTHENTICATED
        assert repository.accept(later).state is State.UNAUTHENTICATED
    assert "it was accepted by hand" in origin(repository, ID)[1]
    edited(later.folder)
    resummed(later.folder)
    assert origin(repository, ID) == (
        State.TAMPERED,
        "its manifest is another than when it was accepted",
    )
    with repository.lock(), pytest.raises(OpsError, match="can't be accepted"):
        repository.accept(repository.find(ID))


def test_with_a_lost_key_old_backups_are_unauthenticated_until_it_is_put_back_beside(
    repository: Repository,
) -> None:
    first = make(repository)
    assert repository.keyring is not None
    keys = repository.keyring.folder
    away = (keys / KEY).rename(keys.parent / "from off-site.json")
    state, why = origin(repository, first.id)
    assert state is State.UNAUTHENTICATED
    assert "its MAC is by another key" in why
    second = make(repository)
    assert "made with another key" in origin(repository, first.id)[1]
    away.rename(keys / "of-the-old-host.json")
    (keys / "of-the-old-host.json").chmod(0o600)
    assert [origin(repository, b.id)[0] for b in (first, second)] == [State.AUTHENTICATED] * 2


def test_a_key_is_never_overwritten_and_of_those_who_make_it_at_once_one_does(tmp_path: Path) -> None:
    at_once = threading.Barrier(3)

    def make(_: int) -> tuple[bool, bytes]:
        ring = Keyring(tmp_path / "keys")
        at_once.wait(10)
        return ring.make({}), ring.mac(b"x")

    with ThreadPoolExecutor(3) as pool:
        said = list(pool.map(make, range(3)))
    assert sorted(made for made, _ in said) == [False, False, True]
    assert len({mac for _, mac in said}) == 1
    assert [p.name for p in (tmp_path / "keys").iterdir()] == [KEY]


def test_a_key_that_is_a_link_others_may_write_or_holds_none_is_refused(tmp_path: Path) -> None:
    ring = Keyring(tmp_path / "keys")
    ring.make({})
    path = ring.folder / KEY
    path.chmod(0o666)
    with pytest.raises(OpsError, match="others may write it"):
        ring.mac(b"")
    path.chmod(0o600)
    path.write_text('{"key": "00"}')
    with pytest.raises(OpsError, match="it holds no key"):
        ring.mac(b"")
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    assert ring.make({}) is False
    assert not (tmp_path / "elsewhere").exists()
    with pytest.raises(OpsError, match="cannot read"):
        ring.mac(b"")


def test_no_half_of_a_key_is_left_by_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Keyring(tmp_path / "keys")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OpsError, match="No space left"):
        ring.make({})
    assert list(ring.folder.iterdir()) == []


def test_a_backup_that_could_not_be_read_again_is_not_made(repository: Repository) -> None:
    make(repository)
    source = ConfigSource({"../file": repository.path / ".lock"})
    with repository.lock(), pytest.raises(OpsError, match="damaged"):
        create(repository, Manifest.draft("lab", "native"), (source,), lambda: datetime.now(UTC))
    assert len(list(repository.path.glob("2*"))) == 1
