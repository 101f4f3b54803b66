"""A plan in a file: `up` does exactly that, or says which fact is another and does nothing."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes.memory_engine import Killed
from fakes.memory_project import MemoryProject
from fakes.notified import notified
from rows import each_row

from techsapo_ops.adapters import files as adapter
from techsapo_ops.apply import plan_file
from techsapo_ops.apply.plan import StackPlan, plan_of
from techsapo_ops.apply.plan_file import read_plan, require_holds, save_plan
from techsapo_ops.apply.up import UpReport, up
from techsapo_ops.cli.apply.up import Wanted, by_plan
from techsapo_ops.cli.options import SpecChoice
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.observed import State
from techsapo_ops.stack.places import EngineName
from techsapo_ops.stack.stack import Stack

BIGGER: dict[str, Any] = {"redis": {"maxmemory": "1G"}}
SECRET = "abc"
LOGIN: dict[str, Any] = {
    "notifications": notified({
        "smtp": {
            "smarthost": "mail.example.com:587", "sender": "a@b.example", "username": "u", "password": SECRET,
        },
        "critical": [{"kind": "email", "to": "c@d.example"}],
    })
}  # fmt: skip


class Project(MemoryProject):
    """With plans in files."""

    @property
    def file(self) -> Path:
        return self.folder / "change.plan"

    def keep(self, stack: Stack | None = None, **sections: Any) -> Path:
        stack = stack or self.stack(**sections)
        save_plan(self.file, plan_of(stack), self.history)
        return self.file

    def apply(self, stack: Stack | None = None, **sections: Any) -> UpReport:
        require = require_holds(read_plan(self.file), self.history)

        def approve(plan: StackPlan) -> bool:
            require(plan)
            return True

        report = up(stack or self.stack(**sections), self.said, approve=approve)
        assert report is not None
        return report

    def refused(self, stack: Stack | None = None, **sections: Any) -> str:
        """What is said; nothing was done."""
        told, applies = len(self.world.told), len(self.ledger.entries())
        with pytest.raises(OpsError, match="is out of date, so nothing was done") as caught:
            self.apply(stack, **sections)
        assert (len(self.world.told), len(self.ledger.entries())) == (told, applies)
        assert caught.value.exit_code == 1
        return caught.value.message.partition("Changed since: ")[2]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_kept_plan_is_done_and_then_spent(project: Project) -> None:
    project.keep()
    assert project.apply().entry is not None, "also the very first"
    assert project.refused().startswith("the last apply")
    project.keep(**BIGGER)
    done = project.apply(**BIGGER)
    assert {o.step.action for o in done.outcomes} == {"restart"}
    assert project.refused(**BIGGER).startswith("the last apply")


def elsewhere(project: Project, **changed: Any) -> Stack:
    stack = project.stack(**BIGGER)
    return replace(stack, topology=replace(stack.topology, **changed))


def edit(project: Project) -> None:
    """A file that the plan leaves alone."""
    planned = {change.path for change in plan_of(project.stack(**BIGGER)).files}
    found = sorted(path for path in project.config.rglob("*") if path.is_file() and path.name[0] != ".")
    path = next(path for path in found if str(path.relative_to(project.config)) not in planned)
    path.write_text("mine")


MEANWHILE: dict[str, tuple[Callable[[Project], object], str]] = {
    "another spec": (lambda p: p.stack(redis={"maxmemory": "2G"}), "the spec, or a secret file"),
    "another environment": (
        lambda p: elsewhere(p, layout=replace(p.stack().layout, environment="staging")),
        "the folder, the environment, the engine or the version",
    ),
    "another host": (
        lambda p: elsewhere(p, host=replace(p.stack().topology.host, binaries={"nginx": "/opt/nginx"})),
        "this host's programs or users",
    ),
    "an apply": (lambda p: p.up(sections={"redis": {"maxmemory": "3G"}}), "the last apply"),
    "a stop": (lambda p: p.world.end("redis", State.STOPPED), "the running services"),
    "a service that is gone": (lambda p: p.world.lose(p.stack().layout, "redis"), "the running services"),
    "an edited file": (lambda p: (p.config / "redis/redis.conf").write_text("# mine\n"), "the files on disk"),
    "a file that the plan leaves alone": (edit, "the files on disk"),
    "an update": (
        lambda p: setattr(p.world.processes["app"], "replaced", "libssl was updated"),
        "the running services",
    ),
}


@each_row("name", MEANWHILE)
def test_what_is_no_longer_so_is_named_and_nothing_is_done(tmp_path: Path, name: str) -> None:
    meanwhile, words = MEANWHILE[name]
    project = Project(tmp_path)
    project.up()
    project.keep(**BIGGER)
    done = meanwhile(project)
    assert words in project.refused(done if isinstance(done, Stack) else project.stack(**BIGGER))


def test_another_version_refuses(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.keep()
    monkeypatch.setattr(plan_file, "build", lambda: "9.9.9")
    assert project.refused() == "the folder, the environment, the engine or the version"


def test_a_changed_secret_refuses_and_can_be_guessed_from_no_quick_digest(project: Project) -> None:
    project.keep(**LOGIN)
    first = json.loads(project.file.read_text())
    other = json.loads(json.dumps(LOGIN).replace(SECRET, "xyzzy"))
    assert project.refused(**other).startswith("the spec, or a secret file")
    project.keep(**LOGIN)
    again = json.loads(project.file.read_text())
    assert f'"{SECRET}"' not in project.file.read_text()
    assert not set(first["digests"].values()) & set(again["digests"].values()), "each plan has its own salt"


def test_the_file_is_its_owners_alone_and_holds_its_form(project: Project) -> None:
    previous = os.umask(0)
    try:
        project.keep()
    finally:
        os.umask(previous)
    assert project.file.stat().st_mode & 0o777 == 0o600
    assert json.loads(project.file.read_text())["techsapo_plan"] == 1


def test_it_takes_the_place_of_a_plan_and_of_nothing_else(project: Project, tmp_path: Path) -> None:
    project.keep()
    project.keep(**BIGGER)
    other = tmp_path / "techsapo.yaml"
    other.write_text("project: mine\n")
    link = tmp_path / "link"
    link.symlink_to(other)
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "nothing")
    for path in (other, link, dangling, tmp_path):
        with pytest.raises(OpsError, match="is not a plan file, so it was left unchanged"):
            save_plan(path, plan_of(project.stack()), project.history)
    assert other.read_text() == "project: mine\n"
    assert link.is_symlink()
    assert dangling.is_symlink()


def changed(**values: Any) -> Callable[[Path], object]:
    return lambda file: file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


WRITTEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "a mode": (lambda file: file.chmod(0o620), "belongs to another user, or others can write to it"),
    "other services": (changed(services=["redis"]), "is out of date"),
    "another salt": (changed(salt="00" * 16), "is out of date"),
    "no digests": (changed(digests={}), "is out of date"),
    "a number for digests": (changed(digests=3), "is not a plan file"),
    "without digests": (
        lambda file: file.write_text(file.read_text().replace('"digests"', '"others"')),
        "is not a plan file",
    ),
    "another form": (changed(techsapo_plan=2), "was written by another version"),
    "cut short": (lambda file: file.write_bytes(file.read_bytes()[:100]), "is not a plan file"),
    "nested": (lambda file: file.write_text("[" * 100_000), "is not a plan file"),
    "a link": (lambda file: file.symlink_to(file.rename(f"{file}.real")), "cannot read the plan"),
    "a pipe": (lambda file: (file.unlink(), os.mkfifo(file, 0o600)), "cannot read the plan"),
    "not there": (lambda file: file.unlink(), "cannot read the plan .*: No such file"),
}


@each_row("name", WRITTEN)
def test_a_file_that_is_not_as_it_was_written_is_refused(tmp_path: Path, name: str) -> None:
    made, words = WRITTEN[name]
    project = Project(tmp_path)
    made(project.keep())
    with pytest.raises(OpsError, match=words) as caught:
        project.apply()
    assert caught.value.hint
    assert project.world.told == []


def test_what_is_left_out_beside_a_plan_is_the_plans_and_what_says_otherwise_a_wrong_use(
    project: Project,
) -> None:
    stack = project.stack()
    layout = replace(stack.layout, environment="staging")
    stack = replace(stack, topology=replace(stack.topology, layout=layout))
    save_plan(project.file, plan_of(stack, ("redis",)), project.history, ("redis",), "native")
    spec = stack.layout.spec_file
    spec.touch()

    def wanted(environment: str | None, engine: EngineName | None, *services: str) -> Wanted:
        return by_plan(project.file, SpecChoice(spec, environment), engine, services)

    for same in (wanted(None, None), wanted("staging", "native", "redis")):
        assert (same.place.environment, same.engine, same.services) == ("staging", "native", ("redis",))
        assert same.place.file == spec
    others: list[tuple[str | None, EngineName | None, tuple[str, ...]]] = [
        ("production", None, ()), (None, "compose", ()),
        (None, None, ("app",)), (None, None, ("redis", "app")),
    ]  # fmt: skip
    for environment, engine, services in others:
        with pytest.raises(OpsError, match="differs from the plan") as caught:
            wanted(environment, engine, *services)
        assert caught.value.exit_code == 2


def test_a_full_disk_leaves_the_plan_that_was_there(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.keep()
    before = project.file.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(adapter, "replace_in", full)
    with pytest.raises(OpsError, match=r"cannot write .*change\.plan: No space left"):
        project.keep(**BIGGER)
    assert project.file.read_bytes() == before


def test_killed_half_way_it_is_refused_and_up_completes_it(project: Project) -> None:
    project.up()
    project.keep(**BIGGER)
    project.world.kill = lambda words: words.startswith("before restart")
    with pytest.raises(Killed):
        project.apply(**BIGGER)
    project.world.kill = lambda _: False
    with pytest.raises(OpsError, match="the last apply") as caught:
        project.apply(**BIGGER)
    assert "`techsapo up` completes the apply" in caught.value.hint
    assert project.up(sections=BIGGER).entry is not None
    assert project.findings() == []


def test_of_two_that_apply_it_at_once_one_does(project: Project) -> None:
    project.up()
    project.keep(**BIGGER)
    ended: list[str] = []

    def go() -> None:
        try:
            project.apply(**BIGGER)
            ended.append("done")
        except OpsError as error:
            ended.append(error.message)

    both = [threading.Thread(target=go) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join(60)
    assert ended.count("done") == 1, ended
    assert len(project.ledger.entries()) == 2
