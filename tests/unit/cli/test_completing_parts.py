"""What a shell is offered, and where its index lies: the parts of it, without a shell."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from techsapo_ops.cli import completing, place
from techsapo_ops.cli.completing import cache_folder, commands_index, names_of, offers
from techsapo_ops.cli.options import SpecChoice

SERVICE = {"many": False, "what": "", "choices": ["redis", "app"]}
LEAF: dict[str, Any] = {
    "help": "", "passes_on": False, "commands": {}, "arguments": [SERVICE],
    "options": [{"name": "json", "names": ["--json"], "flag": True, "help": "", "what": "", "choices": []}],
}  # fmt: skip
INDEX: dict[str, Any] = {
    "commands": {"one": LEAF, "many": {**LEAF, "arguments": [{**SERVICE, "many": True}]}},
    "options": [], "arguments": [], "names": {"fields": ["app", "app.port", "app.auth.plans"]},
}  # fmt: skip


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    return tmp_path


def words(args: list[str], incomplete: str = "") -> list[str]:
    return [name for name, _ in offers(INDEX, args, incomplete)]


def test_an_argument_is_offered_as_often_as_it_is_taken_and_no_option_after_two_dashes() -> None:
    assert words(["one"]) == ["redis", "app"]
    assert words(["one", "redis"]) == []
    assert words(["many", "redis"]) == ["redis", "app"]
    assert words(["one"], "--j") == ["--json"]
    assert words(["one", "--"], "--j") == []


def test_the_index_is_in_a_folder_of_the_user_alone_and_a_link_is_none(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    previous = os.umask(0)
    try:
        assert commands_index(lambda: INDEX) == INDEX
    finally:
        os.umask(previous)
    (kept,) = cache_folder().iterdir()
    assert (cache_folder().stat().st_mode & 0o777, kept.stat().st_mode & 0o777) == (0o700, 0o600)
    assert commands_index(dict) == INDEX, "it is not made again"
    assert names_of("fields", None, "app.") == ["app.port"], "a part at a time"
    elsewhere = kept.rename(home / "elsewhere")
    kept.symlink_to(elsewhere)
    assert commands_index(dict) == {}
    for name, value in (("LC_ALL", "ja_JP.UTF-8"), ("TECHSAPO_LANG", "ja")):
        with monkeypatch.context() as patch:
            before = completing._package_key()
            patch.setenv(name, value)
            assert completing._package_key() != before, "help is in the language that is spoken"


@pytest.mark.parametrize("base", ["", "relative/folder"])
def test_a_cache_folder_that_is_no_path_from_the_root_is_none(
    home: Path, monkeypatch: pytest.MonkeyPatch, base: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", base)
    assert cache_folder() == home / ".cache" / "techsapo"


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
