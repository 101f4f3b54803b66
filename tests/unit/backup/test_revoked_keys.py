"""Keys that were revoked or rotated after a backup: what brings the backup back revives none of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.memory_project import MemoryProject
from fakes.open_stacks import stack_in
from rows import each_row

from techsapo_ops.apply.administration import begin, chain_of
from techsapo_ops.backup.create import create_backup
from techsapo_ops.backup.kinds.config import ConfigBackup
from techsapo_ops.backup.restore import run as restore
from techsapo_ops.backup.restore.going_back import go_back_if_interrupted
from techsapo_ops.backup.restore.intent import intend
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stores.key_endings import REVOKE, ends_of, recorded_endings
from techsapo_ops.stores.keys import ApiKey, KeyFile, KeyRefused, KeyRing, new_key

NOW = datetime.now(UTC).replace(microsecond=0)
BEFORE = NOW - timedelta(days=2)


@dataclass(frozen=True)
class Ground:
    """A stack with the key `ci`, shown as `shown`, which was there when the configuration was backed up."""

    stack: Stack
    file: KeyFile
    shown: str
    backup: str

    def back(self) -> None:
        restore.perform(self.stack, intend(self.stack, self.backup, ("config",)))

    def revoke(self, which: str = "ci") -> None:
        """As `techsapo keys revoke` does, in the file and in the record."""
        gone = self.file.revocation(which, NOW)
        begin(self.stack.layout, REVOKE, {"which": which, **ends_of(gone)})
        self.file.change(gone)

    def opens(self, shown: str = "") -> str:
        """What the running app says to a key: `yes`, or why not."""
        try:
            KeyRing(self.file).check(shown or self.shown, "ask")
        except KeyRefused as refused:
            return refused.reason
        return "yes"


def add(file: KeyFile, name: str, now: datetime = BEFORE) -> str:
    key, shown = new_key(name, plan="basic", scopes=("ask",), now=now)
    file.path.parent.mkdir(parents=True, exist_ok=True)
    file.change((key,))
    return shown


def made(folder: Path, file: Path, **spec: Any) -> Ground:
    keys = KeyFile(file)
    shown = add(keys, "ci")
    stack = stack_in(folder, **spec)
    return Ground(stack, keys, shown, create_backup(stack, only=("config",)).backup.id)


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return ground_at("its own place", tmp_path)


def ground_at(place: str, tmp_path: Path) -> Ground:
    if place.startswith("its own place"):
        if place.endswith("disk"):
            (tmp_path / "disk").mkdir()
            (tmp_path / ".techsapo").symlink_to(tmp_path / "disk")
        return made(tmp_path, tmp_path / ".techsapo" / "api-keys" / "keys.json")
    (tmp_path / "conf").mkdir()
    name = "conf/keys.json"
    if place == "a link that it names":
        name = "link.json"
        (tmp_path / name).symlink_to("conf/keys.json")
    named = {"app": {"auth": {"keys_file": name}}, "backup": {"paths": ["conf"]}}
    return made(tmp_path, tmp_path / "conf" / "keys.json", **named)


def by_name(keys: Iterable[ApiKey]) -> dict[str, ApiKey]:
    return {key.name: key for key in keys}


@each_row(
    "place",
    ["its own place", "its own place on another disk", "a file that the spec names", "a link that it names"],
)
def test_a_key_that_was_revoked_after_the_backup_stays_revoked(place: str, tmp_path: Path) -> None:
    ground = ground_at(place, tmp_path)
    ground.revoke()
    ground.back()
    assert ground.opens() == "revoked"
    assert by_name(ground.file.read())["ci"].revoked == NOW


def test_a_key_that_only_the_record_knows_as_revoked_stays_revoked(ground: Ground) -> None:
    """The file was lost, or the command was killed before it wrote it."""
    begin(ground.stack.layout, REVOKE, {"which": "ci", **ends_of(ground.file.revocation("ci", NOW))})
    ground.file.path.unlink()
    ground.back()
    assert ground.opens() == "revoked"


def test_a_rotated_key_still_ends_and_the_one_in_its_place_still_opens(ground: Ground) -> None:
    rotation = ground.file.rotation("ci", NOW, timedelta(seconds=-1))
    ground.file.change((*rotation.ending, rotation.key))
    ground.back()
    assert ground.opens() == "expired"
    assert ground.opens(rotation.shown) == "yes"
    assert next(k for k in ground.file.read() if k.id != rotation.key.id).replaced_by == rotation.key.id


def test_what_is_revoked_while_a_restore_is_under_way_stays_so_on_the_way_back(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, late = add(ground.file, "other"), list[str]()
    bring_back = ConfigBackup.bring_back

    def killed(*arguments: Any) -> None:
        bring_back(*arguments)
        ground.revoke()
        late.append(add(ground.file, "late", datetime.now(UTC)))
        raise KeyboardInterrupt

    monkeypatch.setattr(ConfigBackup, "bring_back", killed)
    with pytest.raises(KeyboardInterrupt):
        ground.back()
    assert (ground.opens(), ground.opens(other), ground.opens(late[0])) == ("revoked", "yes", "yes")


def test_a_kill_while_it_is_under_way_revives_nothing(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.revoke()
    monkeypatch.setattr(restore, "go_back", lambda *_: None)  # a kill -9 leaves no time for it
    monkeypatch.setattr(restore, "note_whole", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ground.back()
    assert ground.opens() == "revoked"
    assert go_back_if_interrupted(ground.stack)
    assert ground.opens() == "revoked"


def test_a_spec_that_comes_back_and_names_another_file_of_keys_revives_none_there(tmp_path: Path) -> None:
    """The keys were moved since; the file of before lies there with none of them revoked."""
    before = made(tmp_path, tmp_path / "keys.json", app={"auth": {"keys_file": "keys.json"}})
    stack = stack_in(tmp_path)
    moved = KeyFile(stack.layout.api_keys)
    moved.path.parent.mkdir(exist_ok=True)
    moved.write(before.file.read())
    Ground(stack, moved, before.shown, before.backup).revoke()
    restore.perform(stack, intend(stack, before.backup, ("config",)))
    assert "keys_file: keys.json" in (tmp_path / "techsapo.yaml").read_text()
    assert before.opens() == "revoked"


def test_a_record_that_can_not_be_read_is_said_before_anything_is_touched(ground: Ground) -> None:
    ground.revoke()
    record = chain_of(ground.stack.layout).path
    record.unlink()
    record.mkdir()
    with pytest.raises(OpsError, match=r"record\.jsonl"):
        intend(ground.stack, ground.backup, ("config",))


@each_row("moment", ["soon", 7, "2026-01-01T00:00:00", None])
def test_an_end_that_can_not_be_read_in_the_record_is_now(ground: Ground, moment: object) -> None:
    begin(ground.stack.layout, "keys rotate", {"expiring": {"k": moment}, "revoked": "no list"})
    found = recorded_endings(chain_of(ground.stack.layout).read())
    assert found["k"].revoked is not None
    assert json.loads(ground.file.path.read_text())["version"] == 1


def test_a_roll_back_to_a_spec_that_names_another_file_of_keys_revives_none_there(tmp_path: Path) -> None:
    project = MemoryProject(tmp_path, sections={"app": {"auth": {"keys_file": "keys.json"}}})
    old = KeyFile(tmp_path / "keys.json")
    shown = add(old, "ci")
    project.up()
    project.sections = {}
    project.up()
    stack = project.stack()
    moved = KeyFile(stack.layout.api_keys)
    moved.path.parent.mkdir(parents=True)
    moved.write(old.read())
    ground = Ground(stack, moved, shown, "")
    ground.revoke()
    assert Ground(stack, old, shown, "").opens() == "yes"
    project.rollback("@1")
    assert Ground(stack, old, shown, "").opens() == "revoked"
