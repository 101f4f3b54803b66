from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from techsapo_ops.stores.shared_key import shared_key


def test_the_key_is_made_once_for_its_owner_alone_and_then_read(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "app-key"
    made = shared_key(file)
    assert made is not None
    assert len(made) == 48
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert shared_key(file) == made
    assert [path.name for path in file.parent.iterdir()] == ["app-key"]


def test_instances_that_start_at_once_have_the_same_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(shared_key, [tmp_path / "app-key"] * 32))
    assert len(found) == 1


def test_a_key_that_cannot_be_read_is_none_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "app-key").mkdir()
    assert shared_key(tmp_path / "app-key") is None
    assert "seals what it keeps by its own" in caplog.text


def test_a_planted_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "app-key").symlink_to(tmp_path / "elsewhere")
    assert shared_key(tmp_path / "app-key") is None
    assert not (tmp_path / "elsewhere").exists()
