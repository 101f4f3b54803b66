"""Files are written where they were looked at, whatever links somebody plants on the way."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.adapters.nofollow import NoFollowFile
from techsapo_ops.errors import OpsError


def test_a_file_is_written_with_missing_folders_and_without_special_modes(tmp_path: Path) -> None:
    place = NoFollowFile(tmp_path / "a" / "b" / "file")
    assert place.look() is None
    place.remove()
    place.put(io.BytesIO(b"content"), 0o6755)
    facts = place.look()
    assert facts is not None
    assert oct(facts.st_mode) == "0o100755"
    assert [p.name for p in (tmp_path / "a" / "b").iterdir()] == ["file"]
    copy = io.BytesIO()
    place.copy_to(copy)
    assert copy.getvalue() == b"content"
    place.remove()
    assert place.look() is None


@each_row("depth", ["a folder", "a folder above", "the file"])
def test_a_link_is_refused_and_what_it_leads_to_stays(depth: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "b").mkdir(parents=True)
    (outside / "file").write_text("precious")
    (outside / "b" / "file").write_text("precious")
    top = tmp_path / "top"
    if depth == "a folder above":
        top.symlink_to(outside)
    else:
        top.mkdir()
        if depth == "a folder":
            (top / "b").symlink_to(outside)
        else:
            (top / "b").mkdir()
            (top / "b" / "file").symlink_to(outside / "file")
    place = NoFollowFile(top / "b" / "file")
    for work in (place.look, lambda: place.put(io.BytesIO(b"x"), 0o644), lambda: place.copy_to(io.BytesIO())):
        with pytest.raises(OpsError, match=r"symbolic"):
            work()
    assert {p.read_text() for p in outside.rglob("file")} == {"precious"}


def test_a_pipe_or_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(OpsError, match="no regular file"):
            NoFollowFile(tmp_path / name).put(io.BytesIO(b"x"), 0o644)


def test_a_full_disk_leaves_the_old_file_and_nothing_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = NoFollowFile(tmp_path / "file")
    place.put(io.BytesIO(b"old"), 0o644)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OpsError, match="No space left on device"):
        place.put(io.BytesIO(b"new"), 0o644)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file", b"old")]
