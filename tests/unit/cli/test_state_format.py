"""A state directory of another version is one error that names it; a new one, and one of today, are none."""

from __future__ import annotations

from pathlib import Path

from rows import each_row

from techsapo_ops.cli.place import layout_beside
from techsapo_ops.cli.project import open_project
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.state_format import note_format


def state_in(folder: Path) -> Path:
    """The state directory of a project in `folder`, with an empty ledger."""
    state = folder / ".techsapo"
    (state / "ledger").mkdir(parents=True)
    (folder / "techsapo.yaml").write_text("project: x\n")
    return state


def refusal(state: Path) -> str:
    """What both ways to the state directory say; empty where they say nothing."""
    spec = state.parent / "techsapo.yaml"
    said = set()
    for way in (open_project, layout_beside):
        try:
            way(spec)
        except OpsError as error:
            said.add(f"{error.message}; {error.hint}")
        else:
            said.add("")
    (one,) = said
    return one


def test_a_new_one_and_one_of_today_are_used(tmp_path: Path) -> None:
    state = state_in(tmp_path)
    assert refusal(state) == ""
    note_format(Layout(state, state / "generated"))
    (state / "ledger" / "000001.json").touch()
    assert refusal(state) == ""


APPLY = "ledger/000001.json"


@each_row("format, file", [("", "state.json"), ("", APPLY), ("2", APPLY), ("two", "state.json")])
def test_one_of_another_version_is_named_with_the_way_to_keep_its_data(
    tmp_path: Path, format: str, file: str
) -> None:
    state = state_in(tmp_path / f"{format} {Path(file).name}")
    (state / file).touch()
    if format:
        (state / "format").write_text(f"{format}\n")
    said = refusal(state)
    assert said.startswith(f"{state} was written by another version of techsapo")
    assert f"`mv {state} {state}-before`" in said
    assert "`techsapo up` starts a new stack" in said
