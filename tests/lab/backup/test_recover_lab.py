"""`techsapo recover`: a small stack is gone, and comes back from its off-site repository alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import warm
from card_lines import steps
from gone_stack import PASSWORD, Gone, empty_host, facts, lost
from projects import Project, another_user
from servers import running, tcp_open

from techsapo_ops.backup.recover.journal import STEPS, Desk
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.cli.backup.recovery_view import TITLES

pytestmark = pytest.mark.lab

NOBODY = 65534
FAULT = Path(__file__).parents[1] / "fault_recover.py"


@pytest.fixture(scope="module")
def gone(tmp_path_factory: pytest.TempPathFactory) -> Gone:
    return lost(tmp_path_factory.mktemp("recover"))


def recover(host: Project, gone: Gone, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    return host.run("recover", "--from", str(gone.repository), *words, code=code, timeout=180)


POINTS = ("fetching", "fetch", "placing", "moving", "place", "up", "restoring", *STEPS[3:])


def faulty(host: Project, gone: Gone, point: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Recover with the fault of `point`, see fault_recover.py."""
    argv = [sys.executable, FAULT, point, "recover", "--from", str(gone.repository), *words]
    environment = {**os.environ, **host.environment}
    return warm.run(argv, environment, cwd=host.directory, text=True, timeout=180)


def dependencies(folder: Path) -> Path:
    """A folder with all that is installed here but us, and the installer."""
    folder.mkdir()
    for each in Path(sysconfig.get_path("purelib")).iterdir():
        if "techsapo" not in each.name and not each.name.startswith(("pip", "setuptools", "distutils")):
            (folder / each.name).symlink_to(each)
    return folder


def type_card(gone: Gone, host: Project, folder: Path) -> None:
    """Type what the recovery card says, as on a bare machine, but that root's folders are below `folder`.

    Installing is only watched. Where pip would install what the lock names, it finds that it is there;
    tests/e2e installs it.
    """
    stubs, bare = folder / "bin", folder / "bare"
    stubs.mkdir()
    bare.mkdir()
    known = dependencies(folder / "dependencies")
    only_watched = ("apt-get", "systemctl", "useradd")
    scripts = {name: f'echo "{name} $*" >> {folder}/installed' for name in only_watched}
    scripts["python3"] = (
        f'{Path(sys.executable).resolve()} "$@" && for each in "$3"/lib/python*; do '
        f'echo {known} > "$each/site-packages/known.pth"; done'
    )
    for name, script in scripts.items():
        (stubs / name).write_text(f"#!/bin/bash\n{script}\n")
        (stubs / name).chmod(0o755)
    typed = steps(gone.card)
    assert sorted(typed) == [1, 2, 3, 4]
    assert "RESTIC_PASSWORD: ' RESTIC_PASSWORD" in typed[2]
    text = "\n".join(["set -euo pipefail", *(typed[number] for number in sorted(typed))])
    for there, here in (
        ("/root/kit", bare / "kit"), ("/opt/techsapo", bare / "venv"), ("/usr/local/bin", bare),
        ("/usr/sbin/policy-rc.d", bare / "policy-rc.d"), (str(gone.directory), host.directory),
    ):  # fmt: skip
        text = text.replace(there, str(here))
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RESTIC", "AWS", "PYTHON", "TECHSAPO")) and name != "VIRTUAL_ENV"
    }
    environment |= {
        "PATH": f"{stubs}:{os.environ['PATH']}", "HOME": str(bare), "PIP_NO_COMPILE": "1",
        "PIP_NO_INDEX": "1",
    }  # fmt: skip
    done = subprocess.run(
        ["bash", "-c", text.replace(" recover ", " recover --yes ")],
        cwd=bare, env=environment, input=PASSWORD + "\n", capture_output=True, text=True, timeout=600,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert "whole service back" in done.stdout
    assert PASSWORD not in done.stdout + done.stderr
    assert "restic python3-venv" in (folder / "installed").read_text()
    assert not (bare / "policy-rc.d").exists()


def test_by_the_commands_of_the_recovery_card_all_comes_back_and_what_is_there_stays(
    gone: Gone, tmp_path: Path
) -> None:
    """On other ports, and with jobs in cron: test_recovery_lab.py."""
    port, outside = gone.spec["app"]["port"], gone.repository.parent / "etc"
    of = ("--project", gone.spec["project"])  # as the card has it
    with empty_host(gone) as host:
        looked = json.loads(recover(host, gone, *of, "--dry-run", "--json").stdout)
        assert looked["backup"] == gone.backup  # not the later one, of the configuration alone
        assert [part["kind"] for part in looked["parts"]] == ["redis", "sqlite:app"]
        moved = {"what": "folder", "then": str(gone.directory), "now": str(host.directory)}
        assert moved in looked["differs"]
        assert looked["blockers"] == []
        assert any("the stack does not yet start by itself" in note for note in looked["notes"])
        assert any("its jobs write to the same repository as this stack" in note for note in looked["notes"])
        assert list(host.directory.iterdir()) == []
        refused = recover(host, gone, *of, code=1).stderr
        assert "nothing was placed" in refused
        assert [p.name for p in host.directory.iterdir()] == [".techsapo"]
        argv = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
        with running(argv, host.directory.parent, port, lambda: tcp_open(port)):
            refused = recover(host, gone, *of, "--yes", code=1).stderr
        assert f"port {port}: needed by app, in use by" in refused
        assert not (host.directory / "techsapo.yaml").exists()
        outside.mkdir()
        (outside / "restic").write_text("another's")
        type_card(gone, host, tmp_path)
        assert facts(host) == gone.facts
        spec = read_yaml((host.directory / "techsapo.yaml").read_text())
        assert (outside / "restic").read_text() == "another's"
        kept = host.directory / "recovered/restic"
        assert (kept.read_text(), kept.stat().st_mode & 0o777) == (PASSWORD, 0o600)
        assert spec["backup"]["offsite"]["password_file"] == "recovered/restic"
        assert not (host.state / "recovery").exists()
        shown = host.run("backup", "list", "--json", "-e", "lab").stdout
        assert [each["authentication"] for each in json.loads(shown)] == ["authenticated"]
        assert "already has a stack" in recover(host, gone, "--yes", code=1).stderr
        host.run("backup", "verify", "--offsite", "-e", "lab")  # it reaches its repository


def test_ctrl_c_says_where_it_was_and_giving_up_takes_away_what_was_made_and_nothing_else(gone: Gone) -> None:
    with empty_host(gone) as host:
        (host.directory / "mine.txt").write_text("mine")

        def interrupted(point: str, *words: str) -> str:
            done = faulty(host, gone, f"int:{point}", *words)
            assert done.returncode == 130, (point, done.stdout, done.stderr)
            assert "Traceback" not in done.stderr
            assert "techsapo rollback" not in done.stderr, "an apply of its own can't be undone by that"
            return str(done.stderr).splitlines()[-1]

        assert "no file was placed" in interrupted("fetching", "--dry-run")
        assert [p.name for p in host.directory.iterdir()] == ["mine.txt"]
        for point, step in (("moving", "place"), ("restoring", "restore")):
            said = interrupted(point, "--yes")
            assert f"interrupted at: {TITLES[step]}. To continue from there, run the same command" in said, (
                point
            )
            assert "techsapo recover --abandon" in said
        assert host.pids()
        assert "nothing was changed" in host.run("recover", "--abandon", code=1).stderr
        host.run("recover", "--abandon", "--yes")
        host.assert_gone()
        assert [p.name for p in host.directory.iterdir()] == ["mine.txt"]
        assert not (gone.repository.parent / "etc").exists()
        assert "no recovery is under way" in host.run("recover", "--abandon", "--yes", code=1).stderr


@pytest.mark.nightly
def test_killed_at_every_step_the_same_command_goes_on_where_it_was(gone: Gone) -> None:
    """Of them `test_recovery_lab.py` has one."""
    with empty_host(gone) as host:
        placing = POINTS.index("placing")
        for number, point in enumerate(POINTS):
            agreed = ("--yes",) if number <= placing else ()  # from there on nobody is asked again
            killed = faulty(host, gone, point, *agreed)
            assert killed.returncode == -signal.SIGKILL, (point, killed.stdout, killed.stderr)
            if point == "fetch":
                other = recover(host, gone, "--at", "2001-01-01", "--yes", code=1).stderr
                assert "was started with another --at: first not given, now 2001" in other
                assert "nothing was placed" in recover(host, gone, code=1).stderr  # it is asked again
            if point == "placing":
                other = recover(host, gone, "--set", "redis.maxmemory=1G", code=1).stderr
                assert "nothing more was placed" in other  # to that nobody has agreed
            if point == "up":
                assert "is being recovered" in host.run("backup", "-e", "lab", code=1).stderr
                other = recover(host, gone, "--set", "redis.maxmemory=1G", "--yes", code=1).stderr
                assert "its spec is already in place" in other
        done = json.loads(recover(host, gone, "--json").stdout)
        assert tuple(done["seconds"]) == STEPS
        assert facts(host) == gone.facts


def test_a_stack_that_is_there_is_never_overwritten(gone: Gone) -> None:
    with empty_host(gone) as host:
        (host.directory / "techsapo.yaml").write_text("project: other\n")
        assert "already has a stack" in recover(host, gone, "--yes", code=1).stderr
        host.run("recover", "--abandon", "--yes")
        assert (host.directory / "techsapo.yaml").read_text() == "project: other\n"
        assert [p.name for p in host.directory.iterdir()] == ["techsapo.yaml"]


def test_who_may_only_read_the_repository_looks_too_and_is_told_what_they_can_not_write(gone: Gone) -> None:
    with empty_host(gone) as host:
        os.chown(host.directory, NOBODY, NOBODY)
        host.launcher = another_user(NOBODY)
        host.environment["HOME"] = str(host.directory)
        looked = json.loads(recover(host, gone, "--dry-run", "--json").stdout)
        (secret,) = [each for each in looked["files"] if each["what"] == "secret"]
        assert secret["target"] == str(host.directory / "recovered/restic")
        assert "this user can't write to" in secret["why"]
        assert [each["now"] for each in looked["differs"] if each["what"] == "user"] == ["nobody"]


def test_a_planted_link_a_full_disk_and_a_second_recovery_are_said_and_lose_nothing(
    gone: Gone, tmp_path: Path
) -> None:
    with empty_host(gone) as host:
        mine = tmp_path / "mine"
        mine.mkdir()
        (host.directory / "template-overrides").symlink_to(mine)
        said = recover(host, gone, "--yes", code=1).stderr
        assert "template-overrides already exists, and nothing is overwritten" in said
        assert list(mine.iterdir()) == []
        (host.directory / "template-overrides").unlink()
        with Desk(host.state).lock():
            assert "is working on this recovery" in recover(host, gone, "--yes", code=1).stderr
        small = host.directory / "small"
        small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M,mode=755", "tmpfs", small], check=True)
        try:
            said = recover(host, gone, "--into", str(small), "--yes", code=1).stderr
            assert "nothing was fetched" in said
        finally:
            subprocess.run(["umount", small], check=True)


def test_what_can_not_be_done_is_said_in_words_and_leaves_nothing(gone: Gone, tmp_path: Path) -> None:
    with empty_host(gone) as host:

        def refused(*words: str, code: int = 1) -> str:
            said = host.run("recover", "--yes", *words, code=code).stderr
            assert list(host.directory.iterdir()) == []
            return said

        there = str(gone.repository)
        deeper = str(host.directory / "not/there")
        assert "there is no repository" in refused("--from", str(tmp_path / "none"), "--into", deeper)
        assert "there is no copy from that time or earlier" in refused("--from", there, "--at", "2001-01-01")
        assert "no copy of stack shop" in refused("--from", there, "--project", "shop")
        host.environment = {"RESTIC_PASSWORD": "wrong"}
        assert "the password is wrong for this repository" in refused("--from", there)
        host.environment = {"RESTIC_PASSWORD": ""}
        assert "password is missing" in refused("--from", there, code=2)
        host.environment = {"RESTIC_PASSWORD": PASSWORD}
        cut = shutil.copytree(gone.repository, tmp_path / "cut")
        newest, *others = sorted((cut / "snapshots").iterdir(), key=lambda p: p.stat().st_mtime_ns)[::-1]
        newest.chmod(0o600)
        os.truncate(newest, 100)
        said = host.run("recover", "--from", str(cut), "--dry-run").stderr
        assert f"1 of the repository's copies can't be read ({newest.name[:8]})" in said
        for each in others:
            each.unlink()
        assert f"no copy in it can be read ({newest.name[:8]})" in refused("--from", str(cut))
        half = shutil.copytree(gone.repository, tmp_path / "half")
        for pack in (p for p in (half / "data").rglob("*") if p.is_file()):
            pack.unlink()
        said = host.run("recover", "--from", str(half), "--into", deeper, "--yes", code=1).stderr
        assert "the repository is incomplete" in said
        assert "no such file or directory" in said
        host.run("recover", "--abandon", "--into", deeper, "--yes")
        assert list(host.directory.iterdir()) == []
