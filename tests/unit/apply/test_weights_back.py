"""Learnt weights and a rollback: the user's file goes along, unless it was never applied."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fakes.memory_project import MemoryProject, refuses

from techsapo_ops.errors import OpsError
from techsapo_ops.stack.journal import Journal

WEIGHTS = {"wallbounce": {"calibration": "weights.json"}}
FIRST, SECOND, EDITED = (json.dumps({"format": 4, "calibration": {"contradicted": n}}) for n in range(3))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "weights.json"


@pytest.fixture
def project(tmp_path: Path, file: Path) -> MemoryProject:
    """With the first weights and then the second ones applied."""
    made = MemoryProject(tmp_path, sections=WEIGHTS)
    for weights in (FIRST, SECOND):
        file.write_text(weights)
        made.up()
    return made


def test_the_file_goes_back_and_the_next_up_keeps_to_it(project: MemoryProject, file: Path) -> None:
    project.rollback()
    assert file.read_text() == FIRST
    assert any("to the weights of that apply" in word for word in project.said.words)
    assert not project.up().changed


def test_before_the_first_weights_the_spec_decides_and_the_rollback_says_so(
    tmp_path: Path, file: Path
) -> None:
    project = MemoryProject(tmp_path)
    project.up()
    file.write_text(FIRST)
    project.up(sections=WEIGHTS)
    project.rollback()
    assert file.read_text() == FIRST
    assert any("If the spec still sets wallbounce.calibration" in word for word in project.said.words)


def test_an_edit_that_was_never_applied_stays_and_is_named(project: MemoryProject, file: Path) -> None:
    file.write_text(EDITED)
    project.rollback()
    assert file.read_text() == EDITED
    assert any("the next `techsapo up` applies it" in word for word in project.said.words)


def test_a_no_and_a_rollback_that_fails_leave_the_file(project: MemoryProject, file: Path) -> None:
    assert project.rollback(yes=False) is None
    assert file.read_text() == SECOND
    project.world.refused = refuses("app", '"contradicted": 0')
    report = project.rollback()
    assert report is not None
    assert any(outcome.error for outcome in report.applied.outcomes)
    assert file.read_text() == SECOND
    assert (project.config / "app" / "calibration.json").read_text() == SECOND


class Killed(BaseException):
    """What ends a process without a chance to clean up."""


@pytest.mark.parametrize("step", ["files", "services"])
def test_after_an_apply_of_weights_was_killed_up_completes_and_a_rollback_takes_the_file_along(
    project: MemoryProject, file: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    reach = Journal.reach

    def killed(self: Journal[object], to: str) -> None:
        reach(self, to)
        if to == step:
            raise Killed

    for command, left in ((project.rollback, SECOND), (project.up, EDITED)):
        file.write_text(EDITED)
        with monkeypatch.context() as patched:
            patched.setattr(Journal, "reach", killed)
            patched.setattr(Journal, "end", lambda _: None)
            with pytest.raises((Killed, OpsError)):
                project.up()
        command()
        assert file.read_text() == left
        assert (project.config / "app" / "calibration.json").read_text() == left
        assert not project.up().changed
