"""JSON files of the tool's own: what is damaged is named, with what to do about it."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from rows import each_row

from techsapo_ops.adapters.json_files import read_json, write_json
from techsapo_ops.errors import OpsError


def count(value: Any) -> int:
    return int(value["count"])


def test_what_was_written_is_read_by_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "note.json"
    write_json(file, {"count": 3, "who": "山田"})
    assert read_json(file, count, empty=0, remedy="") == 3
    assert "山田" in file.read_text(encoding="utf-8")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_where_there_is_none_it_is_the_empty_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert read_json(tmp_path / "note.json", count, empty=0, remedy="") == 0
    assert read_json(tmp_path / "file" / "note.json", count, empty=0, remedy="") == 0


@each_row("content", [b"", b"{", b"[]", b"{}", b'{"count": "x"}', b"\xff", b"[" * 100_000])
def test_a_damaged_one_is_named_with_its_remedy(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "note.json"
    file.write_bytes(content)
    with pytest.raises(OpsError, match=r"note\.json is damaged") as refused:
        read_json(file, count, empty=0, remedy="remove it")
    assert refused.value.hint == "remove it"


def test_one_that_cannot_be_read_is_no_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(OpsError, match="cannot read"):
        read_json(tmp_path, count, empty=0, remedy="")
