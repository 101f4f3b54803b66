"""Which edition of the defaults a stack began with, through its first apply, later ones and the ledger."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fakes.memory_project import MemoryProject, refuses
from rows import each_row
from stacks import spec, topology

from techsapo_ops.cli.state_directory import began_with
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.apply.edition_note import note_edition
from techsapo_ops.operations.apply.plan import desired_state
from techsapo_ops.operations.apply.snapshot import Snapshot, freeze, thaw
from techsapo_ops.render.templates import Templates
from techsapo_ops.stack.layout import Layout


def test_a_new_stack_begins_with_the_latest_edition_and_keeps_it_after_its_applies(tmp_path: Path) -> None:
    assert began_with(tmp_path) == 2
    note_edition(Layout(tmp_path, tmp_path / "generated", began_with=2))
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "000001.json").write_text("{}")
    assert began_with(tmp_path) == 2


def test_a_stack_with_applies_and_no_note_is_of_the_first_edition(tmp_path: Path) -> None:
    (tmp_path / "ledger").mkdir()
    assert began_with(tmp_path) == 2
    (tmp_path / "ledger" / "000001.json").write_text("{}")
    assert began_with(tmp_path) == 1


def test_the_first_apply_notes_the_edition_and_no_later_one_changes_it(tmp_path: Path) -> None:
    project = MemoryProject(tmp_path)
    project.up()
    note = project.config.parent / "edition"
    assert note.read_text() == "1\n", "an apply of a Layout that names no edition"
    note.write_text("2\n")
    project.up(sections={"redis": {"maxmemory": "300M"}})
    assert note.read_text() == "2\n"


def test_the_edition_is_noted_before_anything_of_the_first_apply_happens(tmp_path: Path) -> None:
    project = MemoryProject(tmp_path)
    project.world.refused = refuses("redis", "maxmemory")
    report = project.up()
    assert report.failures
    assert (project.config.parent / "edition").exists()


@each_row("text", ["", "two", "0", "-1", "２"])
def test_a_note_that_names_no_edition_is_an_error_that_says_what_to_write(tmp_path: Path, text: str) -> None:
    (tmp_path / "edition").write_text(text)
    with pytest.raises(OpsError, match="names no edition") as caught:
        began_with(tmp_path)
    assert caught.value.hint.startswith("write 1 for a stack that was begun before")


def test_a_later_edition_than_this_version_knows_is_its_latest(tmp_path: Path) -> None:
    (tmp_path / "edition").write_text("7\n")
    assert began_with(tmp_path) == 2


def test_a_recorded_apply_keeps_the_edition_and_one_of_before_is_of_the_first(tmp_path: Path) -> None:
    model = spec()
    where = topology(model, tmp_path)
    there = replace(where, layout=replace(where.layout, began_with=2))
    contents: dict[str, bytes] = {}

    def keep(content: bytes) -> str:
        contents[str(len(contents))] = content
        return str(len(contents) - 1)

    document = freeze(Snapshot(desired_state(there, Templates(None)), model), keep)
    assert thaw(document, contents.__getitem__).desired.topology.edition == 2
    before = document.replace(b'"began_with": 2, ', b"")
    assert before != document
    assert thaw(before, contents.__getitem__).desired.topology.edition == 1


def test_the_app_is_told_its_edition(tmp_path: Path) -> None:
    desired = desired_state(topology(spec(), tmp_path), Templates(None))
    (rendered,) = [f for f in desired.files if f.path == "app/techsapo.yaml"]
    assert "\nedition: 1\n" in rendered.content
