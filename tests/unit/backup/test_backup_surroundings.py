"""What is said of backups before they are needed: an unreadable one, no room, others' folders, off-site."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.open_stacks import stack_in, with_backup
from rows import each_row
from typer.testing import CliRunner

from techsapo_ops.adapters.resources import Room
from techsapo_ops.backup import job as jobs
from techsapo_ops.backup.create import create_backup
from techsapo_ops.backup.describing import copied_path, paths_to_copy
from techsapo_ops.backup.kinds import registry
from techsapo_ops.backup.kinds.registry import require_room
from techsapo_ops.backup.repository.description import What
from techsapo_ops.backup.repository.folder import repository_of
from techsapo_ops.backup.verify import verify_backup
from techsapo_ops.cli.main import app
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.job import JobContext
from techsapo_ops.spec.models.upkeep import Backup
from techsapo_ops.stack.backup import Part
from techsapo_ops.stack.health import Level
from techsapo_ops.stack.places import COMPOSE
from techsapo_ops.stack.stack import Stack
from techsapo_ops.watch.backups import look_at_backups

GIB = 1024**3


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return stack_in(tmp_path)


def test_a_newest_backup_whose_manifest_can_not_be_read_is_told_where_the_newest_is_verified(
    stack: Stack,
) -> None:
    first, second = (create_backup(stack, only=("config",)).backup for _ in range(2))
    (second.folder / "manifest.json").write_text("{")
    found = verify_backup(stack)
    assert (found.id, found.ok) == (first.id, True)
    assert found.passed_over == (f"{second.id} can't be read: {repository_of(stack).find(second.id).damage}",)
    said = CliRunner().invoke(app, ["backup", "verify", "--file", str(stack.layout.spec_file)])
    assert said.exit_code == 1
    assert f"a newer backup was skipped: {second.id}" in said.stderr
    context = JobContext(stack.layout, lambda: stack, None, [].append)
    with pytest.raises(
        OpsError, match=f"{first.id} can be restored, but a newer backup is unusable: {second.id}"
    ):
        jobs.verify(context)
    assert verify_backup(stack, first.id).passed_over == (), "that one was asked for by its id"
    (first.folder / "manifest.json").rename(first.folder / "kept")
    (second.folder / "manifest.json").unlink()
    with pytest.raises(OpsError, match=r"every backup .* is damaged"):
        verify_backup(stack)


def part(kind: str, raw: int) -> Part:
    return Part(kind, "f.zst", 1, raw, "0" * 64, 0.1, "Redis 8", {})


@each_row(
    "parts, at_once, needed",
    [
        ([part("redis", 3 * GIB), part("redis", 3 * GIB)], False, ""),
        ([part("redis", 3 * GIB), part("redis", 3 * GIB)], True, "6 GB in STATE, 2 GB more"),
        ([part("mysql", 2 * GIB)], False, "4 GB in STATE, 256 MB more"),
        ([part("config", 9 * GIB)], True, ""),
        ([part("unknown", 9 * GIB)], True, ""),
        ([], False, ""),
    ],
)
def test_a_trial_that_would_not_fit_says_how_much_it_needs_and_begins_nothing(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, parts: list[Part], at_once: bool, needed: str
) -> None:
    stack.layout.state.mkdir(exist_ok=True)
    monkeypatch.setattr(registry, "room", lambda place: Room(place, 4 * GIB, 9 * GIB, 0.4, 0.9, False))
    if not needed:
        require_room(stack, parts, at_once=at_once)
        return
    with pytest.raises(OpsError) as told:
        require_room(stack, parts, at_once=at_once)
    wanted = needed.replace("STATE", str(stack.layout.state))
    assert f"needs about {wanted} than is free" in told.value.message
    assert "--deep" in (told.value.hint or "")


def test_a_trial_in_containers_looks_at_dockers_disk_and_says_nothing_where_that_can_not_be_seen(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stack = replace(stack, topology=replace(stack.topology, places=COMPOSE))
    monkeypatch.setattr(registry, "DOCKER", tmp_path / "docker")
    monkeypatch.setattr(registry, "room", lambda place: Room(place, 0, 1, 0.0, 0.0, False))
    require_room(stack, [part("redis", GIB)], at_once=True)
    (tmp_path / "docker").mkdir()
    with pytest.raises(OpsError, match=f"needs about 1 GB in {tmp_path}/docker"):
        require_room(stack, [part("redis", GIB)], at_once=True)


@each_row("mode, told", [(0o700, ""), (0o777, "is writable by everyone")])
def test_a_folder_of_backups_that_others_may_write_is_told_and_used(
    stack: Stack, tmp_path: Path, mode: int, told: str
) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    folder.chmod(mode)
    stack = with_backup(stack, Backup.model_validate({"path": str(folder)}))
    found = [f for f in look_at_backups(stack) if str(folder) in f.detail]
    assert [(f.name, f.level) for f in found] == ([("backup.path", Level.WARNING)] if told else [])
    assert all(told in f.detail and str(folder) in f.remedy for f in found)
    assert create_backup(stack, only=("config",)).backup.folder.parent == folder


def test_a_folder_with_the_databases_that_run_does_not_go_off_site_with_the_configuration(
    stack: Stack, tmp_path: Path
) -> None:
    (tmp_path / "more").mkdir()
    backup = create_backup(stack, only=("config",)).backup
    stack = with_backup(stack, Backup.model_validate({"paths": ["more", "."]}))
    named = [kept.named for kept in paths_to_copy(stack, backup) if kept.what is What.CONFIG_PATH]
    assert named == ["more"]


def test_a_file_that_a_folder_keeps_from_others_stays_kept_from_them() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # pytest's own is closed to others
        secret = Path(folder) / "password"
        secret.touch()
        secret.chmod(0o644)
        modes = []
        for mode in (0o755, 0o700):
            Path(folder).chmod(mode)
            kept = copied_path(secret, What.SECRET)
            modes.append(kept.mode)
    assert modes == [0o644, 0o640]
