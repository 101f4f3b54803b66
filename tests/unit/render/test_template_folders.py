"""Which folder of templates is the operator's, and what is said of it."""

from __future__ import annotations

import re
from pathlib import Path

from rows import each_row
from stacks import spec, templates, topology, with_alerts

from techsapo_ops.render.stack import render_stack
from techsapo_ops.render.templates import Templates
from techsapo_ops.stack.template_folders import (
    FIXED,
    Overrides,
    builtin_names,
    find_overrides,
    template_root,
)

REDIS = "redis/redis.conf.j2"
EXTENDS = f'{{% extends "builtin/{REDIS}" %}}'
"""An override that changes nothing but the text of the template."""
_EXAMPLE = re.compile(r"`template-overrides/(\S+\.j2)`\n\n```jinja\n(.*?)```", re.DOTALL)


def write(folder: Path, name: str, text: str = EXTENDS) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def said(overrides: Overrides) -> list[str]:
    return [f"{found.message}; {found.hint}" for found in overrides.warnings()]


def test_without_any_folder_ours_are_used_and_nothing_is_said(tmp_path: Path) -> None:
    found = find_overrides(tmp_path, None)
    assert found.folder == tmp_path / "template-overrides"
    assert (found.is_there, found.obstacle, said(found)) == (False, None, [])


@each_row(
    "named, words",
    [
        ("nowhere", "there is no folder {project}/nowhere"),
        ("a file", "{project}/a file is not a folder"),
        ("dangling", "there is no folder {project}/dangling"),
        ("loop", "cannot read {project}/loop"),
        ("ours", "{project}/ours contains the built-in templates"),
        (".", "contains files that are not templates"),
        ("..", "contains files that are not templates"),
        (".techsapo/generated", "contains files that are not templates"),
    ],
)
def test_a_folder_that_can_not_be_used_is_told_with_the_reason(
    tmp_path: Path, named: str, words: str
) -> None:
    (tmp_path / "a file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "ours").symlink_to(template_root())
    (tmp_path / ".techsapo" / "generated").mkdir(parents=True)
    obstacle = find_overrides(tmp_path, named).obstacle
    assert obstacle is not None
    assert words.format(project=tmp_path) in obstacle.message
    assert obstacle.hint


def test_a_template_of_a_name_that_is_none_of_ours_is_named_unless_another_one_includes_it(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "template-overrides"
    misspelt = write(folder, "redis/redis.cnf.j2")
    write(folder, "parts/limits.j2", "maxclients 100\n")
    write(folder, REDIS, '{% include "parts/limits.j2" %}\n')
    (warning,) = said(find_overrides(tmp_path, None))
    assert warning == (
        f"{misspelt} is not used: there is no built-in template redis/redis.cnf.j2; did you mean {REDIS}?"
    )


def test_a_template_that_can_not_be_overridden_is_named(tmp_path: Path) -> None:
    for name in FIXED:
        write(tmp_path / "template-overrides", name)
    warnings = said(find_overrides(tmp_path, None))
    assert len(warnings) == len(FIXED)
    assert all("can't be overridden" in warning for warning in warnings)
    assert set(builtin_names()) > FIXED


def test_a_link_that_leads_back_ends(tmp_path: Path) -> None:
    write(tmp_path / "template-overrides", REDIS)
    (tmp_path / "template-overrides" / "redis" / "again").symlink_to("..")
    assert find_overrides(tmp_path, None).obstacle is None


def test_the_examples_of_the_page_add_to_the_built_in_files(repository: Path, tmp_path: Path) -> None:
    pages = [repository / "docs" / name for name in ("templates.md", "templates.ja.md")]
    examples, translated = (_EXAMPLE.findall(page.read_text(encoding="utf-8")) for page in pages)
    assert [name for name, _ in translated] == [name for name, _ in examples]
    assert [name for name, _ in examples] == ["prometheus/prometheus.yml.j2", REDIS]
    for name, text in examples:
        write(tmp_path / "template-overrides", name, text)
    model = spec(monitoring=with_alerts())
    where = topology(model, tmp_path)
    before = {f.path: f.content for f in render_stack(where, templates())}
    after = {f.path: f.content for f in render_stack(where, Templates(tmp_path / "template-overrides"))}
    added = {
        path: [line for line in content.splitlines() if line not in before[path].splitlines()]
        for path, content in after.items()
        if content != before[path]
    }
    for path in added:
        assert not set(before[path].splitlines()) - set(after[path].splitlines()), "nothing is lost"
    assert {path.rpartition("/")[2]: lines for path, lines in added.items()} == {
        "prometheus.yml": ["  - job_name: inventory", '      - targets: ["inventory.internal:9100"]'],
        "redis.conf": ["notify-keyspace-events Ex"],
    }


@each_row("page", ["templates.md", "templates.ja.md"])
def test_the_page_names_every_block(page: str, repository: Path) -> None:
    blocks = {
        name: re.findall(r"{% block (\w+) %}", templates().source(name))
        for name in builtin_names()
        if "{% block" in templates().source(name)
    }
    rows = re.findall(r"^\| `(\S+\.j2)` \| (.*) \|$", (repository / "docs" / page).read_text(), re.MULTILINE)
    assert {name: re.findall(r"`(\w+)`", cells) for name, cells in rows} == blocks
