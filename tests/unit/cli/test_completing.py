"""What a shell is offered, where its index lies, and which spec a command without --file has."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from techsapo_ops.cli import completing, place
from techsapo_ops.cli.completing import cache_folder, commands_index, offers
from techsapo_ops.cli.options import SpecChoice

SERVICE = {"many": False, "what": "", "choices": ["redis", "app"]}
LEAF: dict[str, Any] = {
    "help": "", "passes_on": False, "commands": {}, "arguments": [SERVICE],
    "options": [{"name": "json", "names": ["--json"], "flag": True, "help": "", "what": "", "choices": []}],
}  # fmt: skip
INDEX: dict[str, Any] = {
    "commands": {"one": LEAF}, "options": [], "arguments": [],
    "names": {"fields": ["app", "app.port", "app.auth.plans"]},
}  # fmt: skip


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    return tmp_path


def test_words_and_options_are_offered_from_an_index_that_only_its_user_may_write(home: Path) -> None:
    assert [name for name, _ in offers(INDEX, ["one"], "")] == ["redis", "app"]
    assert [name for name, _ in offers(INDEX, ["one"], "--j")] == ["--json"]
    assert commands_index(lambda: INDEX) == INDEX
    (kept,) = cache_folder().iterdir()
    assert (cache_folder().stat().st_mode & 0o777, kept.stat().st_mode & 0o777) == (0o700, 0o600)
    kept.write_text(json.dumps(INDEX))
    kept.chmod(0o666)
    assert commands_index(dict) == {}, "what others may write is not read"


def test_what_is_no_backup_is_not_offered_and_the_newest_is_first(home: Path) -> None:
    for name in ("20260101T000000Z", "20260102T000000Z-2", "notes", "20260103T000000Z.partial"):
        (home / name).mkdir()
    assert completing._backups({"backup_folder": str(home)}) == [
        "latest", "20260102T000000Z-2", "20260101T000000Z",
    ]  # fmt: skip


def test_a_variable_may_begin_with_the_home_folder_and_is_for_one_command(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TECHSAPO_FILE", "~/mine.yaml")
    monkeypatch.setenv("TECHSAPO_ENVIRONMENT", "staging")
    chosen = SpecChoice()
    assert (chosen.file, chosen.environment) == (home / "mine.yaml", "staging")
    assert not {"TECHSAPO_FILE", "TECHSAPO_ENVIRONMENT"} & os.environ.keys()


def test_a_state_directory_above_is_no_stack_without_its_spec(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".techsapo").mkdir()
    (home / "below").mkdir()
    monkeypatch.chdir(home / "below")
    assert not place.find(None).told
    monkeypatch.chdir(home)
    assert place.find(None) == place.Found(place.DEFAULT_SPEC)
