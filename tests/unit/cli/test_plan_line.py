"""The line that a plan ends with: removals before all else, and counts that a program can read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fakes.memory_project import OFF, MemoryProject

from techsapo_ops.apply.plan import StackPlan, plan_of
from techsapo_ops.cli.apply.plan_view import plan_json, plan_line, show_plan
from techsapo_ops.cli.output import Output

NO_REDIS: dict[str, Any] = {"redis": OFF}


@pytest.fixture
def project(tmp_path: Path) -> MemoryProject:
    return MemoryProject(tmp_path)


def planned(project: MemoryProject, **sections: Any) -> StackPlan:
    return plan_of(project.stack(**sections))


def shown(plan: StackPlan, capsys: pytest.CaptureFixture[str], **options: bool) -> list[str]:
    show_plan(plan, Output(**options))
    return capsys.readouterr().out.splitlines()


def test_a_changed_setting_is_counted_and_nothing_is_said_to_be_removed(
    project: MemoryProject, capsys: pytest.CaptureFixture[str]
) -> None:
    project.up()
    lines = shown(planned(project, redis={"maxmemory": "1G"}), capsys)
    assert lines[-1] == "files: 5 to change; services: 2 to restart; nothing removed"


def test_what_is_removed_comes_first_in_lists_and_in_the_line(
    project: MemoryProject, capsys: pytest.CaptureFixture[str]
) -> None:
    project.up()
    found = planned(project, **NO_REDIS)
    assert [step.action for step in found.steps.steps][-1] == "remove", "it is performed last"
    lines = shown(found, capsys)
    files = lines[1 : lines.index("services:")]
    assert "removed" in files[0]
    assert "removed" not in files[-1]
    assert lines[lines.index("services:") + 1].split()[:2] == ["remove", "redis"]
    assert lines[-1].startswith("files: 2 to remove, ")
    assert "services: 1 to remove, " in lines[-1]
    assert "nothing removed" not in lines[-1]


def test_the_summary_has_every_key_whatever_changes(project: MemoryProject) -> None:
    project.up()
    same = plan_json(planned(project))["summary"]
    assert same == {
        "files": {"removed": 0, "added": 0, "changed": 0, "edited": 0},
        "services": {"remove": 0, "create": 0, "recreate": 0, "restart": 0, "reload": 0, "nothing": 2},
    }
    gone = plan_json(planned(project, **NO_REDIS))["summary"]
    assert {name: list(counts) for name, counts in gone.items()} == {
        name: list(counts) for name, counts in same.items()
    }
    assert (gone["files"]["removed"], gone["services"]["remove"]) == (2, 1)


def test_a_file_edited_by_hand_is_counted_as_such(project: MemoryProject) -> None:
    project.up()
    conf = project.config / "redis" / "redis.conf"
    conf.write_text(f"{conf.read_text()}# mine\n")
    assert "files: 1 edited by hand" in plan_line(planned(project))
