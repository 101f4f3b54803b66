"""The catalogue as one JSON file: the same as its YAML, and made again when that changes."""

from __future__ import annotations

import errno
import json
import os
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from techsapo_ops.catalogue import yaml_text
from techsapo_ops.catalogue.yaml_text import COMPILED, catalogue_files, packaged_yaml, read_yaml

HOME = Path(yaml_text.__file__).parent
compile_again = yaml_text.compiled_catalogue.__wrapped__
"""As another process does it, which remembers nothing."""


@pytest.fixture(autouse=True)
def _written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)


def as_json(value: Any) -> Any:
    """`value` with days as text."""
    return json.loads(json.dumps(value, default=date.isoformat))


def test_what_is_compiled_is_what_the_yaml_says(tmp_path: Path) -> None:
    for page in catalogue_files():
        copy = tmp_path / page.relative_to(HOME)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(page.read_bytes())
    written = compile_again(tmp_path)
    assert (tmp_path / COMPILED).stat().st_mode & 0o022 == 0
    read = compile_again(tmp_path)
    says = {str(page.relative_to(HOME)): as_json(read_yaml(page.read_bytes())) for page in catalogue_files()}
    assert written == read == says == {name: packaged_yaml(name) for name in says}


def test_a_changed_file_a_new_one_and_one_that_went_are_compiled_again(tmp_path: Path) -> None:
    page = tmp_path / "jobs.yaml"
    page.write_text("a: 1\n")
    assert compile_again(tmp_path) == {"jobs.yaml": {"a": 1}}
    page.write_text(
        "a: 2\n"
    )  # as long as before, and by its time older: what an installer unpacks keeps its own
    os.utime(page, ns=(0, 0))
    assert compile_again(tmp_path) == {"jobs.yaml": {"a": 2}}
    (tmp_path / "new.yaml").write_text("[]")
    page.unlink()
    assert compile_again(tmp_path) == {"new.yaml": []}


@pytest.mark.parametrize("broken", ["", "{", "[]", "{}", '{"made_of": []}', "[" * 100_000])
def test_one_that_is_broken_is_made_again(tmp_path: Path, broken: str) -> None:
    (tmp_path / "a.yaml").write_text("a: 1\n")
    (tmp_path / COMPILED).parent.mkdir()
    (tmp_path / COMPILED).write_text(broken)
    assert compile_again(tmp_path) == {"a.yaml": {"a": 1}}
    assert json.loads((tmp_path / COMPILED).read_text())["data"] == {"a.yaml": {"a": 1}}


def test_a_full_disk_gets_no_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "a.yaml").write_text("a: 1\n")
    monkeypatch.setattr(json, "dump", full)
    assert compile_again(tmp_path) is None
    assert list((tmp_path / COMPILED).parent.iterdir()) == []


def test_where_it_cannot_be_written_the_yaml_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.yaml").write_text("a: 1\n")
    (tmp_path / COMPILED).parent.touch()  # no folder: root, too, can't write there
    assert compile_again(tmp_path) is None
    monkeypatch.setattr(yaml_text, "compiled_catalogue", lambda _: None)
    assert packaged_yaml("jobs.yaml") == read_yaml((HOME / "jobs.yaml").read_bytes())
