"""How files are spread over workers by what they took."""

from __future__ import annotations

from pathlib import Path

import pytest
import slowest


def test_the_table_names_files_that_exist(repository: Path) -> None:
    assert [file for file in slowest._table() if not (repository / file).is_file()] == []


def test_lanes_take_about_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slowest, "_table", lambda: {"a": 50, "b": 30, "c": 30, "d": 15})
    assert slowest.lanes("dcba", 2) == {"a": 0, "b": 1, "c": 1, "d": 0}


def test_files_that_are_gone_are_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "test_it.py").write_text("")
    kept = tmp_path / ".pytest_cache" / "v" / slowest.KEPT
    kept.parent.mkdir(parents=True)
    kept.write_text('{"test_it.py::one": 1.5, "test_it.py::two": 2, "test_gone.py::one": 9}')
    monkeypatch.chdir(tmp_path)
    assert slowest.of_files(slowest.noted()) == {"test_it.py": 3.5}
