from __future__ import annotations

import itertools
import os
import resource
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from rows import each_row
from stacks import host, spec, topology

from techsapo_ops.adapters.written import MANIFEST
from techsapo_ops.apply.changes import ChangeKind, FileChange, changes
from techsapo_ops.apply.generate import write_files
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.topology import Topology

OLD = (
    RenderedFile("a.conf", "a = 1\n"),
    RenderedFile("deep/er/b.conf", "b = 1\n"),
    RenderedFile("gone/c.conf", "c = 1\n"),
    RenderedFile("secrets/key", "old-secret", mode=0o600, secret=True),
)
NEW = (
    RenderedFile("a.conf", "a = 2\n"),
    RenderedFile("deep/er/b.conf", "b = 2\n"),
    RenderedFile("new/d.conf", "日本語\n"),
    RenderedFile("secrets/key", "new-secret", mode=0o600, secret=True),
)


@pytest.fixture
def where(tmp_path: Path) -> Topology:
    return topology(spec(), tmp_path)


@pytest.fixture
def directory(where: Topology) -> Path:
    return where.layout.config


def on_disk(directory: Path) -> dict[str, str]:
    """Every file but the manifest, by relative path."""
    return {
        p.relative_to(directory).as_posix(): p.read_text()
        for p in directory.rglob("*")
        if p.is_file() and p.name != MANIFEST
    }


def kinds(found: tuple[FileChange, ...]) -> dict[str, ChangeKind]:
    return {change.path: change.kind for change in found}


def contents(files: tuple[RenderedFile, ...]) -> dict[str, str]:
    return {file.path: file.content for file in files}


def test_what_is_written_is_what_was_said_and_twice_changes_nothing(where: Topology, directory: Path) -> None:
    said = changes(OLD, directory)
    assert write_files(OLD, where) == said
    assert set(kinds(said).values()) == {ChangeKind.ADDED}
    assert on_disk(directory) == contents(OLD)
    before = {p: p.stat().st_mtime_ns for p in directory.rglob("*")}
    assert write_files(OLD, where) == ()
    assert {p: p.stat().st_mtime_ns for p in directory.rglob("*")} == before


def test_changed_added_and_removed_files_are_told_apart(where: Topology, directory: Path) -> None:
    write_files(OLD, where)
    assert kinds(write_files(NEW, where)) == {
        "a.conf": ChangeKind.CHANGED,
        "deep/er/b.conf": ChangeKind.CHANGED,
        "gone/c.conf": ChangeKind.REMOVED,
        "new/d.conf": ChangeKind.ADDED,
        "secrets/key": ChangeKind.CHANGED,
    }
    assert on_disk(directory) == contents(NEW)
    assert not (directory / "gone").exists()


def test_modes_do_not_depend_on_the_umask_and_a_widened_secret_is_closed_again(
    where: Topology, directory: Path
) -> None:
    previous = os.umask(0o077)
    try:
        write_files(OLD, where)
    finally:
        os.umask(previous)
    assert stat.S_IMODE((directory / "a.conf").stat().st_mode) == 0o644
    assert stat.S_IMODE((directory / "deep").stat().st_mode) == 0o755
    assert stat.S_IMODE((directory / "secrets").stat().st_mode) == 0o711
    assert stat.S_IMODE((directory / "secrets/key").stat().st_mode) == 0o600
    assert stat.S_IMODE((directory / MANIFEST).stat().st_mode) == 0o600, "it has digests of secrets"
    (directory / "secrets/key").chmod(0o644)
    (change,) = write_files(OLD, where)
    assert "0644 → 0600" in change.diff
    assert stat.S_IMODE((directory / "secrets/key").stat().st_mode) == 0o600


def test_a_hand_edited_file_is_named_and_nothing_at_all_is_written(where: Topology, directory: Path) -> None:
    write_files(OLD, where)
    (directory / "a.conf").write_text("a = mine\n")
    before = on_disk(directory)
    with pytest.raises(OpsError, match=r"edited by hand, so nothing was written:\n.*a\.conf") as error:
        write_files(NEW, where)
    assert "--force" in error.value.hint
    assert on_disk(directory) == before
    write_files(NEW, where, force=True)
    assert on_disk(directory) == contents(NEW)


def test_a_strangers_file_in_the_way_counts_as_edited(where: Topology, directory: Path) -> None:
    directory.mkdir(parents=True)
    (directory / "a.conf").write_text("someone's work\n")
    assert kinds(changes(OLD, directory))["a.conf"] is ChangeKind.EDITED
    with pytest.raises(OpsError, match="edited by hand"):
        write_files(OLD, where)


def test_files_that_are_not_ours_stay(where: Topology, directory: Path) -> None:
    write_files(OLD, where)
    (directory / "gone/notes.txt").write_text("mine")
    write_files(NEW, where)
    assert (directory / "gone/notes.txt").read_text() == "mine"


def test_a_diff_shows_lines_but_never_a_secret_old_or_new(where: Topology, directory: Path) -> None:
    write_files(OLD, where)
    found = {c.path: c.diff for c in changes(NEW, directory)}
    assert "-a = 1\n+a = 2\n" in found["a.conf"]
    assert "secret" not in found["secrets/key"].replace("holds a secret", "")
    no_longer_secret = (RenderedFile("secrets/key", "public now"),)
    shown = {c.path: c.diff for c in changes(no_longer_secret, directory)}
    assert "old-secret" not in shown["secrets/key"]
    removed = {c.path: c.diff for c in changes((), directory)}
    assert "old-secret" not in removed["secrets/key"]
    assert "old-secret" not in (directory / MANIFEST).read_text()


def test_a_folder_in_the_place_of_a_file_is_an_error_before_anything_is_written(
    where: Topology, directory: Path
) -> None:
    (directory / "deep/er/b.conf").mkdir(parents=True)
    with pytest.raises(OpsError, match=r"cannot read .*b\.conf"):
        write_files(OLD, where)
    assert not (directory / "a.conf").exists()


def test_a_damaged_manifest_says_what_to_do(where: Topology, directory: Path) -> None:
    write_files(OLD, where)
    (directory / MANIFEST).write_text('{"files": [1')
    with pytest.raises(OpsError, match="is damaged") as error:
        write_files(NEW, where)
    assert "remove that file" in error.value.hint


def test_root_gives_container_files_to_the_images_user(tmp_path: Path) -> None:
    where = topology(spec(), tmp_path, facts=host(root=True))
    file = RenderedFile("docker/secrets/x", "x", mode=0o600, secret=True, owner="redis")
    if os.geteuid() == 0:
        write_files((file,), where)
        assert (where.layout.config / file.path).stat().st_uid == 999
    else:  # who is not root can't give files away, and is told so
        with pytest.raises(OpsError, match="cannot write in"):
            write_files((file,), where)


def write_in_a_child(
    where: Topology, files: tuple[RenderedFile, ...], *, kill_at: int = 0, limit: int = 0
) -> tuple[int, str]:
    """Write in a forked process that kills itself at one of its steps; its exit code and error."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        code = 0
        try:
            _die_at(kill_at)
            if limit:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            write_files(files, where)
        except OpsError as error:
            os.write(writer, str(error).encode())
            code = 1
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), said


def _die_at(step: int) -> None:
    steps = itertools.count(1)

    def dying(call: Callable[..., None]) -> Callable[..., None]:
        def wrapper(*arguments: object, **options: object) -> None:
            if next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            call(*arguments, **options)

        return wrapper

    os.replace, os.unlink, os.fsync = dying(os.replace), dying(os.unlink), dying(os.fsync)


STEPS = 40
"""fsync, rename and unlink calls of one write of NEW over OLD, with some to spare."""


@each_row("kill_at", range(1, STEPS + 1))
def test_killed_at_any_step_nothing_looks_edited_and_the_next_run_finishes(
    tmp_path: Path, kill_at: int
) -> None:
    where = topology(spec(), tmp_path)
    directory = where.layout.config
    write_files(OLD, where)
    code, said = write_in_a_child(where, NEW, kill_at=kill_at)
    assert code in ({0} if kill_at == STEPS else {-signal.SIGKILL, 0}), (said, "are there more steps now?")
    for path, text in on_disk(directory).items():
        if not Path(path).name.startswith("."):
            assert text in {contents(OLD).get(path), contents(NEW).get(path)}, path
    found = changes(NEW, directory)
    assert ChangeKind.EDITED not in set(kinds(found).values())
    write_files(NEW, where)
    assert on_disk(directory) == contents(NEW)
    assert changes(NEW, directory) == ()


def test_when_the_disk_takes_no_more_nothing_has_changed(where: Topology, directory: Path) -> None:
    write_files(OLD, where)
    before = {p: p.read_bytes() for p in directory.rglob("*") if p.is_file()}
    huge = (*NEW[:-1], RenderedFile("z.conf", "x" * 50_000))
    code, said = write_in_a_child(where, huge, limit=20_000)
    assert code == 1
    assert "cannot write in" in said
    assert {p: p.read_bytes() for p in directory.rglob("*") if p.is_file()} == before
