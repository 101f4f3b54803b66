"""The operator's own templates in a backup of the configuration, and where they come back to."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import hostile
import pytest
import yaml
from fakes.open_stacks import stack_in
from hostile import END, ID, entry, names_of
from projects import only_redis
from rows import each_row

from techsapo_ops.backup.config_places import config_source
from techsapo_ops.backup.repository import repository_of
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.project import open_project
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.backup import restore
from techsapo_ops.operations.backup.intent import intend
from techsapo_ops.stack.stack import Stack

NAME = "redis/redis.conf.j2"


def write(folder: Path, text: str = "# mine\n") -> None:
    (folder / "redis").mkdir(parents=True, exist_ok=True)
    (folder / NAME).write_text(text)


def held(stack: Stack) -> dict[str, Path]:
    """The templates of a backup that is taken now, by their names in it."""
    return {n: path for n, path in config_source(stack).trees.items() if n.startswith("template")}


def restored(stack: Stack, files: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Restore a backup with those files; returns what the list of files said of each."""
    pieces = (*(entry(name, text.encode()) for name, text in files.items()), END)
    repository = repository_of(stack)
    repository.make_key()
    hostile.write(repository.path, pieces, names_of(pieces), repository.keyring)
    intent = intend(stack, ID, ("config",))
    restore.perform(stack, intent)
    return {target.path: (target.what, target.why) for target in intent.targets["config"]}


def test_a_backup_holds_the_folder_in_use_by_one_name_wherever_it_is(tmp_path: Path) -> None:
    stack = stack_in(tmp_path / "a", template_overrides="../shared")
    assert held(stack) == {}, "a backup is made also where the folder is not there"
    write(tmp_path / "shared")
    assert held(stack) == {"template-overrides": stack.directory / "../shared"}
    default = stack_in(tmp_path / "b")
    write(default.directory / "template-overrides")
    assert held(default) == {"template-overrides": default.directory / "template-overrides"}


@each_row("folder", [".", "..", ".techsapo"])
def test_a_folder_that_holds_more_than_templates_is_neither_backed_up_nor_written_to(
    tmp_path: Path, folder: str
) -> None:
    stack = stack_in(tmp_path / "project", template_overrides=folder)
    (stack.directory / ".techsapo").mkdir()
    assert held(stack) == {}
    said = restored(stack, {"template-overrides/planted": "x"})
    why = f"{stack.overrides.folder} does not hold templates alone"
    assert said == {"template-overrides/planted": ("left", why)}
    assert not list(tmp_path.rglob("planted"))


@each_row("then, now", [("mine", None), (None, "mine"), ("mine", "other")])
def test_a_spec_that_would_look_for_them_elsewhere_is_refused_before_anything_changes(
    tmp_path: Path, then: str | None, now: str | None
) -> None:
    def named(folder: str | None) -> dict[str, str]:
        return {"template_overrides": folder} if folder is not None else {}

    text = yaml.safe_dump(only_redis(engine="native", **named(then)))
    stack = stack_in(tmp_path / "project", **named(now))
    before = (stack.directory / "techsapo.yaml").read_text()
    files = {"techsapo.yaml": text, f"template-overrides/{NAME}": "# then\n"}
    with pytest.raises(OpsError, match="the spec in the backup has its templates in") as refused:
        restored(stack, files)
    assert "template_overrides" in refused.value.hint
    assert (stack.directory / "techsapo.yaml").read_text() == before
    assert not (stack.directory / (now or "template-overrides")).exists()
    again = stack_in(tmp_path / "project", **named(then))
    shutil.rmtree(repository_of(again).path)
    assert set(restored(again, files).values()) == {("replaced", ""), ("new", "")}
    assert open_stack(open_project(again.directory / "techsapo.yaml")).overrides.obstacle is None
