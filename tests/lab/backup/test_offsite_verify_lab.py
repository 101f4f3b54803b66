"""What is off-site is fetched, restored as a test and compared, and what is wrong with it is found."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from backup_lab import Root, backed_up, killed, stack_of
from fakes.open_stacks import with_backup
from projects import Project, only_redis, project
from quick_key import quick_repository
from servers import free_port
from terminal import typed

from techsapo_ops.adapters.resources import Room
from techsapo_ops.backup import verify_offsite as operation
from techsapo_ops.backup.repository.description import FILE, FOLDER
from techsapo_ops.backup.repository.folder import Backup, repository_of
from techsapo_ops.backup.repository.records import LEVEL, of_offsite
from techsapo_ops.backup.repository.verify import QUICK, verify
from techsapo_ops.backup.restore import copied as copied_module
from techsapo_ops.backup.verify_offsite import verify_offsite
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.stack import Stack

pytestmark = pytest.mark.lab

PASSWORD = "of the repository"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A stack with a repository beside it, an account of its own in MariaDB, and one backup."""
    place = tmp_path_factory.mktemp("away 別") / "repository"
    quick_repository(place, PASSWORD)
    spec = only_redis(
        mysql={"port": free_port()},
        backup={"offsite": {"restic": str(place), "password": PASSWORD}},
        schedule={"by": "none"},
    )
    with project(spec) as made:
        made.run("up")
        with Root(made) as sql:
            sql.execute("CREATE USER 'reporting'@'%' IDENTIFIED BY 'a password'")
            sql.execute("CREATE PROCEDURE nothing() SELECT 1")
        yield made


@pytest.fixture
def copied(lab: Project, backup: Backup, tmp_path: Path) -> tuple[Stack, Path]:
    """The stack with a copy of the repository, to be damaged."""
    stack = stack_of(lab)
    assert stack.spec.backup.offsite is not None
    place = tmp_path / "repository"
    shutil.copytree(stack.spec.backup.offsite.restic, place)
    away = stack.spec.backup.offsite.model_copy(update={"restic": str(place)})
    return with_backup(stack, stack.spec.backup.model_copy(update={"offsite": away})), place


@pytest.fixture
def unrestored(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came back is not loaded into servers: elsewhere it is, and it takes the most of the time."""
    monkeypatch.setattr(
        operation, "verify", lambda stack, repository, backup, *_: verify(stack, repository, backup, QUICK)
    )


def restic(place: Path, *words: str) -> bytes:
    environment = {**os.environ, "RESTIC_PASSWORD": PASSWORD, "RESTIC_REPOSITORY": str(place)}
    argv = ["restic", "--no-cache", *words]
    return subprocess.run(argv, env=environment, capture_output=True, check=True, timeout=120).stdout


def left(stack: Stack) -> list[str]:
    return [p.name for p in stack.layout.state.iterdir() if p.name.startswith("offsite") and p.is_dir()]


def test_a_copy_that_comes_back_is_noted_and_told_of(lab: Project, backup: Backup) -> None:
    done = json.loads(lab.run("backup", "verify", "--offsite", "--json").stdout)
    assert (done["id"], done["ok"], done["authentication"]) == (backup.id, True, "authenticated")
    assert [part["kind"] for part in done["parts"]] == [
        "fetching", "redis", "mysql", "config", "files", "wheel",
    ]  # fmt: skip
    assert left(stack_of(lab)) == []
    shown = json.loads(lab.run("backup", "show", "--json").stdout)
    assert shown["checks"][LEVEL]["ok"] is True
    assert "restored from off-site" in lab.run("backup", "list").stdout
    text = (lab.layout.textfiles / "backups.prom").read_text()
    assert 'techsapo_backup_offsite_last_verification_success{name="backups"} 1.0' in text
    assert 'techsapo_backup_offsite_recovery_seconds{name="backups",source="mysql"}' in text
    assert subprocess.run(["promtool", "check", "metrics"], input=text.encode(), check=False).returncode == 0


def test_somebody_types_the_password_as_the_card_has_it(lab: Project, backup: Backup) -> None:
    words = ("backup", "unlock-test")
    before = of_offsite(stack_of(lab).layout)["typed"]
    assert not before["ok"], f"the first copy, of {backup.id}, began the 90 days"
    ask = "password of the repository"
    code, shown = typed(lab, *words, ask=ask, answer="another\n", hidden=True)
    assert code == 1
    assert "is wrong for this repository" in shown
    assert of_offsite(stack_of(lab).layout)["typed"] == before
    code, shown = typed(lab, *words, ask=ask, answer=f"{PASSWORD}\n", hidden=True)
    assert (code, "the password opens the repository" in shown) == (0, True)
    assert of_offsite(stack_of(lab).layout)["typed"]["ok"]


@pytest.mark.usefixtures("unrestored")
def test_a_backup_that_is_gone_here_is_fetched_all_the_same_and_its_proof_stays(
    copied: tuple[Stack, Path], backup: Backup, tmp_path: Path
) -> None:
    stack, _ = copied
    elsewhere = stack.spec.backup.model_copy(update={"path": str(tmp_path / "none")})
    found = verify_offsite(with_backup(stack, elsewhere), backup.id)
    assert found.ok, found.sentences
    assert of_offsite(stack.layout)["good"]["id"] == backup.id
    with pytest.raises(OpsError, match="no backup 2001"):
        verify_offsite(stack, "2001")


@pytest.mark.usefixtures("unrestored")
def test_what_a_killed_one_fetched_is_removed_by_the_next(lab: Project, backup: Backup) -> None:
    killed(lab, "event == 'open' and '/offsite-proof/' in name", "backup", "verify", "--offsite")
    assert left(stack_of(lab)) == ["offsite-proof"]
    found = verify_offsite(stack_of(lab), backup.id)
    assert found.ok, found.sentences
    assert left(stack_of(lab)) == []


@pytest.mark.usefixtures("unrestored")
def test_copies_that_somebody_removed_from_the_server_are_missed_by_their_days(
    lab: Project, backup: Backup, tmp_path: Path
) -> None:
    stack = stack_of(lab)
    assert stack.spec.backup.offsite is not None
    place = Path(stack.spec.backup.offsite.restic)
    shutil.copytree(place, tmp_path / "older")
    newer = backed_up(lab)
    shutil.move(place, tmp_path / "whole")
    shutil.copytree(tmp_path / "older", place)
    try:
        found = verify_offsite(stack)
        assert (found.ok, found.id) == (False, backup.id)
        day = f"{newer.id[:4]}-{newer.id[4:6]}-{newer.id[6:8]}"
        assert found.sentences[0].startswith(f"the copies from {day} are gone")
        assert verify_offsite(stack, backup.id).ok
    finally:
        shutil.rmtree(place)
        shutil.move(tmp_path / "whole", place)
    found = verify_offsite(stack)
    assert (found.ok, found.id) == (True, newer.id), found.sentences
    repository = repository_of(stack)
    with repository.lock():
        repository.remove(newer)
    assert verify_offsite(stack).ok, "off-site it is still there"


def packs(place: Path) -> list[Path]:
    return sorted((p for p in (place / "data").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def test_a_pack_that_was_changed_is_a_copy_that_does_not_come_back(
    copied: tuple[Stack, Path], lab: Project
) -> None:
    stack, place = copied
    largest = packs(place)[-1]
    data = bytearray(largest.read_bytes())
    for at in range(0, len(data), 997):
        data[at] ^= 1
    largest.chmod(0o600)
    largest.write_bytes(bytes(data))
    found = verify_offsite(stack)
    assert not found.ok
    assert "and so is the fetched copy" in found.sentences[0]
    assert f"affected copies: {datetime.now().astimezone():%Y-%m-%d}" in found.sentences[-1]
    assert left(stack) == []
    text = (lab.layout.textfiles / "backups.prom").read_text()
    assert 'techsapo_backup_offsite_last_verification_success{name="backups"} 0.0' in text
    assert "techsapo_backup_offsite_verified_timestamp_seconds" in text
    assert {"last", "good", "read", "typed"} <= of_offsite(stack.layout).keys()
    assert of_offsite(stack.layout)["read"]["ok"] is False


def again(place: Path, paths: list[str], backup: Backup, folder: Path) -> None:
    """A further snapshot with these paths and that backup in `folder`, as whoever has the password makes it.

    It describes itself as the first one does, but for the place of the backup.
    """
    (first, *_) = json.loads(restic(place, "snapshots", "--json"))
    (described,) = (path for path in first["paths"] if Path(path).name == FOLDER)
    text = restic(place, "dump", first["id"], f"{described}/{FILE}").decode()
    forged = place.parent / "forged" / FOLDER
    forged.mkdir(parents=True, exist_ok=True)
    (forged / FILE).write_text(text.replace(str(backup.folder), str(folder)))
    tags = ("techsapo", backup.id, "project=lab")
    words = [word for tag in tags for word in ("--tag", tag)]
    restic(place, "backup", *words, str(forged), *paths)


def test_another_manifest_and_a_link_in_place_of_the_backup_are_found(
    copied: tuple[Stack, Path], lab: Project, backup: Backup, tmp_path: Path
) -> None:
    stack, place = copied
    (first, *_) = json.loads(restic(place, "snapshots", "--json"))
    others = [p for p in first["paths"] if Path(p).name not in {FOLDER, backup.id}]
    folder = tmp_path / "planted" / backup.id
    shutil.copytree(backup.folder, folder)
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"tag": ""', '"tag": "mine"'))
    again(place, [str(folder), *others], backup, folder)
    assert "tampered" in verify_offsite(stack).sentences[0]
    shutil.rmtree(folder)
    folder.symlink_to(backup.folder)
    again(place, [str(folder), *others], backup, folder)
    assert verify_offsite(stack).sentences == (
        f"the copy lacks the folder {folder}, or has a link in its place",
    )
    keys = str(lab.layout.backup_keys)
    again(place, [str(backup.folder), *(p for p in others if p != keys)], backup, backup.folder)
    assert verify_offsite(stack).sentences == (
        f"the copy lacks the folder {keys}, or has a link in its place",
    )


@pytest.mark.usefixtures("unrestored")
def test_a_file_beside_it_that_is_not_as_here_is_named_and_one_that_changed_since_is_none_of_its_faults(
    copied: tuple[Stack, Path], lab: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack, _ = copied
    before = lab.layout.spec_file.read_bytes()
    lab.layout.spec_file.write_bytes(before + b"# changed since\n")
    try:
        found = verify_offsite(stack)
        assert found.ok, found.sentences
        note = next(p.note for p in found.parts if p.kind == "files")
        assert note == "1 files on this host have changed since the copy was made"
        monkeypatch.setattr(operation, "_since", lambda _path, _taken: False)
        assert verify_offsite(stack).sentences == (
            f"files: {lab.layout.spec_file.resolve()} differs from its copy",
        )
    finally:
        lab.layout.spec_file.write_bytes(before)


def test_a_wrong_password_and_no_room_are_said_and_nothing_is_noted(
    copied: tuple[Stack, Path], lab: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack, place = copied
    before = of_offsite(stack.layout)
    assert stack.spec.backup.offsite is not None
    lab.write(backup={"offsite": {"restic": str(place), "password": "another"}})
    try:
        said = lab.run("backup", "verify", "--offsite", code=1).stderr
        assert "backup.offsite.password is wrong for this repository" in said
        lab.write(backup={})
        assert "has no backup.offsite" in lab.run("backup", "verify", "--offsite", code=2).stderr
    finally:
        lab.write(backup={"offsite": {"restic": str(place), "password": PASSWORD}})
    monkeypatch.setattr(copied_module, "room", lambda folder: Room(folder, 1000, 10**9, 0.0, 0.5, False))
    with pytest.raises(OpsError, match="has only 1000 B free"):
        verify_offsite(stack)
    assert of_offsite(stack.layout) == before
    assert left(stack) == []
