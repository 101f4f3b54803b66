"""kill -9 at every step, Ctrl-C, a full disk, a no at the question: the next command completes."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from killed import change_redis, configuration, faulty, killed_at
from projects import Project, only_redis, project
from servers import tcp_open
from terminal import typed

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def stack() -> Iterator[Project]:
    with project(only_redis(engine="native")) as made:
        made.run("up")
        yield made


def test_an_apply_that_was_killed_after_its_record_is_recorded_once(stack: Project) -> None:
    change_redis(stack)
    killed_at(stack, "recorded", "up")
    recorded = stack.applies()
    assert recorded[-1].result == "ok"
    assert "up to date" in stack.run("up").stderr
    assert not (stack.state / "journal/apply.json").exists()
    assert stack.applies() == recorded


def test_a_kill_on_the_way_back_is_completed_by_rollback(stack: Project) -> None:
    before, pids = configuration(stack), stack.pids()
    change_redis(stack, "io-threads none")
    killed_at(stack, "going-back", "up", "--timeout", "10")
    stack.run("rollback", "--yes")
    assert configuration(stack) == before
    assert tcp_open(stack.spec["redis"]["port"])
    assert stack.pids()["app"] == pids["app"]
    change_redis(stack)
    stack.run("up")


def test_a_rollback_that_was_killed_is_completed_by_the_next_one(stack: Project) -> None:
    first = configuration(stack)
    change_redis(stack)
    stack.run("up")
    target = stack.applies()[-2].id
    killed_at(stack, "files", "rollback", f"@{target}", "--yes")
    stack.run("rollback", f"@{target}", "--yes")
    assert configuration(stack) == first


def test_ctrl_c_in_the_middle_says_how_to_go_on_and_the_next_up_completes(stack: Project) -> None:
    change_redis(stack, "requirepass unknown-to-the-spec")  # it comes up and never answers as it should
    process = stack.popen("up", "--verbose", "--timeout", "60")
    assert process.stderr is not None
    while "waiting for redis" not in (line := process.stderr.readline()):
        assert line, "it ended before it came to redis"
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "`techsapo up` completes the apply, `techsapo rollback` undoes it" in said
    assert "interrupted" in stack.run("changes", "drift", code=100).stdout
    mark = change_redis(stack)
    assert "finishing it now" in stack.run("up", "--verbose").stderr
    assert mark in configuration(stack)
    assert [e.result for e in stack.applies()[-2:]] == ["failed", "ok"]


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """`folder` with all that is in it on a disk of its own, which soon is full."""
    kept = folder.with_name("kept")
    folder.rename(kept)
    folder.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "techsapo-lab", folder], check=True)
    try:
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        yield
        shutil.rmtree(kept)
        shutil.copytree(folder, kept)
    finally:
        subprocess.run(["umount", folder], check=True)
        folder.rmdir()
        kept.rename(folder)


def test_a_disk_that_is_full_before_an_apply_keeps_it_from_touching_anything(stack: Project) -> None:
    before, pids, known = configuration(stack), stack.pids(), stack.applies()
    mark = change_redis(stack)
    ledger = stack.state / "ledger"
    with small_disk(ledger):
        with suppress(OSError), (ledger / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(512))
        failed = stack.run("up", code=1)
        assert "No space left on device" in failed.stderr
        assert (configuration(stack), stack.pids(), stack.applies()) == (before, pids, known)
        (ledger / "filler").unlink()
    stack.run("up")
    assert mark in configuration(stack)


def test_a_disk_that_is_full_when_an_apply_is_to_be_recorded_is_told_and_completed_later(
    stack: Project,
) -> None:
    mark, known = change_redis(stack), stack.applies()
    ledger = stack.state / "ledger"
    with small_disk(ledger):
        done = faulty(stack, "full:read-back", "up")
        assert done.returncode == 1
        assert "the apply succeeded, but this can't be recorded" in done.stderr
        assert "No space left on device" in done.stderr
        assert mark in configuration(stack)
        assert stack.applies() == known
        (ledger / "filler").unlink()
        assert "finishing it now" in stack.run("up", "--verbose").stderr
    assert [e.result for e in stack.applies()[len(known) :]] == ["failed", "ok"]
    stack.run("changes", "drift")


def test_on_a_terminal_up_shows_the_plan_and_does_nothing_without_a_yes(stack: Project) -> None:
    before, pids, known = configuration(stack), stack.pids(), stack.applies()
    mark = change_redis(stack)
    code, shown = typed(stack, "up", ask="go ahead?", answer="n\n")
    assert code == 1
    assert "redis/redis.conf" in shown
    assert "restart" in shown
    assert "nothing was changed" in shown
    assert (configuration(stack), stack.pids(), stack.applies()) == (before, pids, known)
    code, shown = typed(stack, "up", ask="go ahead?", answer="y\n")
    assert code == 0, shown
    assert mark in configuration(stack)
    assert "go ahead?" not in typed(stack, "up")[1], "there is nothing to ask for"
