"""How files are spread over workers by what they took."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import slowest


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


def test_the_longest_of_a_run_is_one_part_of_one_test(pytestconfig: pytest.Config) -> None:
    watch = slowest.Stopwatch(pytestconfig)
    for test, when, seconds in (("a::one", "setup", 30.0), ("a::one", "call", 2.0), ("b::two", "call", 31.0)):
        report = SimpleNamespace(nodeid=test, when=when, duration=seconds)
        watch.pytest_runtest_logreport(cast(pytest.TestReport, report))
    assert slowest.of_files(watch.seconds) == {"a": 32.0, "b": 31.0}
    assert watch.longest == (31.0, "call of b::two")
