"""`up` and the job of each minute let the app have the team's own files as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fakes.memory_project import MemoryProject
from stacks import spec, topology

from techsapo_ops.apply.knowledge import follow
from techsapo_ops.incidents.knowledge import search
from techsapo_ops.services.app.kind import App
from techsapo_ops.stack.places import EngineName

NAMED: dict[str, Any] = {"knowledge": ["wiki/"]}


@pytest.fixture
def project(tmp_path: Path) -> MemoryProject:
    (tmp_path / "wiki").mkdir()
    (tmp_path / "wiki/redis.md").write_text("# Redis\n\nRaise maxmemory.\n")
    return MemoryProject(tmp_path)


def followed(project: MemoryProject, **sections: Any) -> tuple[bool, list[str]]:
    said: list[str] = []
    stack = project.stack(**sections)
    return follow(stack, said.append), said


def found(project: MemoryProject, query: str) -> list[str]:
    return [page.file for page in search(project.stack().layout.knowledge, query, 5)]


def test_up_makes_the_index_that_the_app_reads(project: MemoryProject) -> None:
    project.sections = NAMED
    project.up()
    assert found(project, "maxmemory") == ["wiki/redis.md"]


def test_a_changed_file_is_told_apart_from_one_that_is_as_it_was(project: MemoryProject) -> None:
    assert followed(project, **NAMED) == (True, [])
    assert followed(project, **NAMED) == (False, [])
    (project.folder / "wiki/redis.md").write_text("# Redis\n\nRaise timeout.\n")
    assert followed(project, **NAMED) == (True, [])
    assert found(project, "timeout") == ["wiki/redis.md"]


def test_without_knowledge_in_the_spec_nothing_of_it_stays(project: MemoryProject) -> None:
    followed(project, **NAMED)
    assert followed(project) == (False, [])
    assert list(project.stack().layout.knowledge.parent.iterdir()) == []


def test_what_is_left_out_is_told(project: MemoryProject) -> None:
    _, said = followed(project, knowledge=["wiki/", "nowhere/"])
    assert said == ["knowledge: files left out: 1, such as nowhere/ (no file matches)"]


@pytest.mark.parametrize(
    ("engine", "seen"),
    [
        ("native", "{state}/knowledge/knowledge.sqlite"),
        ("compose", "/etc/techsapo/knowledge/knowledge.sqlite"),
    ],
)
def test_the_app_is_told_where_it_is_only_with_knowledge_in_the_spec(
    tmp_path: Path, engine: EngineName, seen: str
) -> None:
    where = topology(spec(**NAMED), tmp_path, engine)
    (app,) = where.of_kind("app")
    kind = App()
    argv = where.places.units(
        programs=lambda: kind.program(where, app).argv,
        containers=lambda: kind.container(where, app).command,
        spread=lambda: (),
    )
    assert argv[-2:] == ("--knowledge", seen.format(state=where.layout.state))
    binds = {bind.target: bind for bind in kind.container(where, app).binds}
    assert binds["/etc/techsapo/knowledge"].source == where.layout.knowledge.parent
    assert not binds["/etc/techsapo/knowledge"].writable
    plain = topology(spec(), tmp_path, engine)
    assert "--knowledge" not in kind.container(plain, plain.of_kind("app")[0]).command
