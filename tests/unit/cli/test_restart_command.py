"""`techsapo restart` without a name."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes.memory_project import MemoryProject
from typer.testing import CliRunner, Result

from techsapo_ops.cli.apply import running as command
from techsapo_ops.cli.main import app


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryProject:
    project = MemoryProject(tmp_path)
    project.up()
    (tmp_path / "techsapo.yaml").write_text("project: x\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "open_stack", lambda _: project.stack())
    return project


def restart(*words: str) -> Result:
    return CliRunner().invoke(app, ["restart", *words])


def pids(project: MemoryProject) -> dict[str, Any]:
    return {name: process.pid for name, process in project.world.processes.items()}


def test_without_a_name_nothing_is_restarted_where_nobody_can_be_asked(project: MemoryProject) -> None:
    before = pids(project)
    done = restart()
    assert done.exit_code != 0
    assert "no service is named, and all would be restarted: redis, app" in str(done.exception)
    assert "--all" in getattr(done.exception, "hint", "")
    assert getattr(done.exception, "exit_code", 0) == 2
    assert pids(project) == before


def test_on_a_terminal_it_asks_and_names_them(
    project: MemoryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "interactive", lambda: True)
    before, asked = pids(project), SimpleNamespace(answers=[False, True], said=[])

    def confirm(question: str, *, yes: bool) -> bool:
        asked.said.append((question, yes))
        return bool(asked.answers.pop(0))

    monkeypatch.setattr(command, "confirm", confirm)
    assert "nothing was restarted" in str(restart().exception)
    assert pids(project) == before
    assert restart().exit_code == 0
    assert asked.said == [("restart all services: redis, app?", False)] * 2
    assert not set(pids(project).values()) & set(before.values())


def test_all_of_them_by_all_and_not_with_names_too(project: MemoryProject) -> None:
    before = pids(project)
    assert "both --all and service names" in str(restart("--all", "redis").exception)
    assert pids(project) == before
    assert restart("--all").exit_code == 0
    assert not set(pids(project).values()) & set(before.values())
