"""Which folder of templates is the operator's, which is ours, and what is said of each."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rows import each_row
from stacks import spec, topology

from techsapo_ops.errors import OpsError
from techsapo_ops.render.stack import render_stack
from techsapo_ops.render.templates import Templates
from techsapo_ops.stack.template_folders import (
    FIXED,
    Overrides,
    builtin_names,
    find_overrides,
    is_copy_of_ours,
    template_root,
)

REDIS = "redis/redis.conf.j2"
NGINX = "nginx/nginx.conf.j2"
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
    assert (found.folder, found.old) == (tmp_path / "template-overrides", None)
    assert (found.folders, found.obstacle, said(found)) == ((), None, [])


def test_the_folder_of_version_0_1_is_used_and_each_template_in_it_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "templates", REDIS)
    found = find_overrides(tmp_path, None)
    assert found.template(REDIS) == path
    assert said(found) == [
        f"your own templates in {tmp_path}/templates are still used ({REDIS}), but they belong in "
        f"{tmp_path}/template-overrides; move them: `mv {tmp_path}/templates {tmp_path}/template-overrides`"
    ]


def test_with_both_folders_neither_is_silently_unused(tmp_path: Path) -> None:
    old_only = write(tmp_path / "templates", NGINX)
    hidden = write(tmp_path / "templates", REDIS)
    new = write(tmp_path / "template-overrides", REDIS, "# mine\n")
    found = find_overrides(tmp_path, None)
    assert (found.template(REDIS), found.template(NGINX)) == (new, old_only)
    templates = Templates(found.folder, old=found.old)
    assert templates.source(REDIS) == "# mine\n"
    assert templates.overrides() == {REDIS: "# mine\n", NGINX: EXTENDS}
    used, unused = said(found)
    assert f"({NGINX})" in used
    assert used.endswith(f"; move them to {tmp_path}/template-overrides")
    assert unused.startswith(
        f"{hidden} is not used: {tmp_path}/template-overrides has a template of that name"
    )


def test_the_folder_that_the_spec_names_comes_before_the_old_one_too(tmp_path: Path) -> None:
    write(tmp_path / "templates", NGINX)
    mine = write(tmp_path / "mine", REDIS)
    found = find_overrides(tmp_path, "mine")
    assert (found.template(REDIS), found.folders) == (mine, (tmp_path / "mine", tmp_path / "templates"))
    assert len(said(found)) == 1


def test_the_old_name_may_be_kept_by_naming_it(tmp_path: Path) -> None:
    path = write(tmp_path / "templates", REDIS)
    found = find_overrides(tmp_path, "templates")
    assert (found.template(REDIS), found.old, said(found), found.obstacle) == (path, None, [], None)


def test_a_folder_that_has_that_name_for_other_reasons_is_not_warned_about(tmp_path: Path) -> None:
    write(tmp_path / "templates", "mail/welcome.html.j2")
    assert said(find_overrides(tmp_path, None)) == []


def linked(project: Path) -> None:
    (project / "templates").symlink_to(template_root())


def copied(project: Path) -> None:
    shutil.copytree(template_root(), project / "templates")


@each_row("place", [linked, copied])
def test_our_own_templates_are_never_taken_for_the_operators(
    tmp_path: Path, place: Callable[[Path], None]
) -> None:
    place(tmp_path)
    found = find_overrides(tmp_path, None)
    assert (found.old, found.folders, said(found)) == (None, (), [])


def test_a_checkout_that_does_not_run_is_used_as_before_where_it_differs_and_named(tmp_path: Path) -> None:
    copied(tmp_path)
    (tmp_path / "techsapo_ops").mkdir()
    (tmp_path / "techsapo_ops" / "__init__.py").touch()
    write(tmp_path / "templates", REDIS, "# edited in place\n")
    found = find_overrides(tmp_path, None)
    assert found.template(REDIS) == tmp_path / "templates" / REDIS
    (warning,) = said(found)
    assert "is of a checkout of techsapo-ops, but not of the one that runs" in warning
    assert f"({REDIS})" in warning, "what differs, and no more"


@each_row(
    "named, words",
    [
        ("nowhere", "there is no folder {project}/nowhere"),
        ("a file", "{project}/a file is not a folder"),
        ("dangling", "there is no folder {project}/dangling"),
        ("loop", "cannot read {project}/loop"),
        ("ours", "{project}/ours holds the built-in templates"),
        (".", "does not hold templates alone"),
        ("..", "does not hold templates alone"),
        (".techsapo/generated", "does not hold templates alone"),
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


def test_the_default_folder_must_be_one_where_it_is_there(tmp_path: Path) -> None:
    (tmp_path / "template-overrides").symlink_to("an unmounted disk")
    obstacle = find_overrides(tmp_path, None).obstacle
    assert obstacle is not None
    assert obstacle.message.startswith("there is no folder")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_templates_that_this_user_may_not_read_are_told_and_not_left_out(tmp_path: Path) -> None:
    """Jinja takes a file in a folder that it can't enter for one that is not there."""
    write(tmp_path / "template-overrides", REDIS)
    write(tmp_path / "templates", NGINX)
    for folder in (tmp_path / "template-overrides/redis", tmp_path / "templates/nginx"):
        folder.chmod(0o700)
    code = (
        "import os, sys; from pathlib import Path\n"
        "from techsapo_ops.stack.template_folders import find_overrides\n"
        "os.seteuid(65534); found = find_overrides(Path(sys.argv[1]), None)\n"
        "print(found.obstacle.message); print(next(found.warnings()).message)\n"
    )
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o055)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    obstacle, warning = done.stdout.splitlines()
    assert obstacle == f"cannot read {tmp_path}/template-overrides/redis: Permission denied"
    assert warning.startswith(f"cannot read {tmp_path}/templates/nginx, so what is in it is not used")


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


def test_a_directory_in_the_place_of_a_template_is_an_error_where_it_would_be_read(tmp_path: Path) -> None:
    (tmp_path / "template-overrides" / REDIS).mkdir(parents=True)
    found = find_overrides(tmp_path, None)
    assert found.template(REDIS) is None


def test_a_checkouts_templates_in_an_old_backup_are_told_from_overrides() -> None:
    assert is_copy_of_ours(dict.fromkeys(builtin_names()))
    assert not is_copy_of_ours(dict.fromkeys([REDIS, NGINX]))
    assert not is_copy_of_ours(dict.fromkeys(set(builtin_names()) - FIXED))


@each_row("page", ["templates.md", "templates.ja.md"])
def test_the_examples_of_the_page_add_to_the_built_in_files(
    page: str, repository: Path, tmp_path: Path
) -> None:
    examples = _EXAMPLE.findall((repository / "docs" / page).read_text(encoding="utf-8"))
    assert [name for name, _ in examples] == ["prometheus/prometheus.yml.j2", REDIS]
    for name, text in examples:
        write(tmp_path / "template-overrides", name, text)
    model = spec()
    where = topology(model, tmp_path)
    before = {f.path: f.content for f in render_stack(where, Templates())}
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
        name: re.findall(r"{% block (\w+) %}", Templates().source(name))
        for name in builtin_names()
        if "{% block" in Templates().source(name)
    }
    rows = re.findall(r"^\| `(\S+\.j2)` \| (.*) \|$", (repository / "docs" / page).read_text(), re.MULTILINE)
    assert {name: re.findall(r"`(\w+)`", cells) for name, cells in rows} == blocks


def test_an_unreadable_old_template_is_an_error(tmp_path: Path) -> None:
    copied(tmp_path)
    (tmp_path / "templates" / REDIS).unlink()
    (tmp_path / "templates" / REDIS).symlink_to("/proc/self/mem")
    with pytest.raises(OpsError, match="cannot read"):
        find_overrides(tmp_path, None)
