"""`make install` and `make lab` on a fresh clone, with a Python and an apt-get that only pretend."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from rows import each_row

REPOSITORY = Path(__file__).parents[2]
MAKES = """#!/bin/sh
echo "$@" >>calls
[ "$1 $2 $3" = "-m venv --clear" ] || exit 64
mkdir -p "$4/bin"
[ ! -e no-ensurepip ] || { cp half "$4/bin/python"; echo "ensurepip is not available"; exit 1; }
cp whole "$4/bin/python"
"""
HALF = '#!/bin/sh\necho "No module named pip" >&2\nexit 1\n'
WHOLE = '#!/bin/sh\n[ "$1 $2" = "-m pip" ] || exit 64\necho "pip: $*" >>calls\n'


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    return clone_in(tmp_path)


def clone_in(tmp_path: Path) -> Path:
    (tmp_path / "Makefile").write_bytes((REPOSITORY / "Makefile").read_bytes())
    (tmp_path / "techsapo_ops").mkdir()
    (tmp_path / ".ci").mkdir()
    for name in (".ci/requirements.lock", "pyproject.toml", "techsapo_ops/__init__.py"):
        (tmp_path / name).touch()
    for name, text in (("python", MAKES), ("half", HALF), ("whole", WHOLE)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def make(clone: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *(words or (".venv/runtime", "PYTHON=./python"))],
        cwd=clone, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "MAKEFLAGS": ""},
    )  # fmt: skip


def put(clone: Path, kind: str) -> None:
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").write_text((clone / kind).read_text())
    (clone / ".venv" / "bin" / "python").chmod(0o755)


@each_row("left", ["nothing", "half"])
def test_an_environment_without_pip_is_made_anew(tmp_path: Path, left: str) -> None:
    """It blocked every retry: No module named pip."""
    clone = clone_in(tmp_path)
    if left == "half":
        put(clone, "half")
    done = make(clone)
    assert done.returncode == 0, done.stdout + done.stderr
    calls = (clone / "calls").read_text().splitlines()
    assert calls[0] == "-m venv --clear .venv"
    assert [call for call in calls[1:] if "install" in call] == calls[-2:]
    assert (clone / ".venv" / "runtime").exists()


def test_one_that_is_whole_stays(clone: Path) -> None:
    put(clone, "whole")
    assert make(clone).returncode == 0
    assert "venv" not in (clone / "calls").read_text().replace(".venv", "")


def test_where_none_can_be_made_the_package_is_named_and_nothing_is_left_behind(clone: Path) -> None:
    (clone / "no-ensurepip").touch()
    done = make(clone)
    assert done.returncode != 0
    assert "no Python environment could be made: as root: apt-get install python3 python3-venv" in done.stdout
    assert not (clone / ".venv").exists()
    (clone / "no-ensurepip").unlink()
    assert make(clone).returncode == 0


def test_a_python_that_is_not_there_is_named(clone: Path) -> None:
    done = make(clone, ".venv/runtime", "PYTHON=python-of-nobody")
    assert done.returncode != 0
    assert "python-of-nobody is missing: as root: apt-get install python3 python3-venv" in done.stdout


@each_row(
    "leads_to, said",
    [
        ("gone/.venv/bin/techsapo", "linked "),
        ("other/.venv/bin/techsapo", "is something else and stays"),
        ("gone/techsapo", "is something else and stays"),
    ],
)
def test_the_command_of_a_clone_that_is_gone_is_replaced_and_nobody_elses(
    tmp_path: Path, leads_to: str, said: str
) -> None:
    """`make up` said that something else had the name, and the shell then that there is no such command."""
    clone = clone_in(tmp_path)
    (clone / "other/.venv/bin").mkdir(parents=True)
    (clone / "other/.venv/bin/techsapo").touch()
    (clone / "bin").mkdir()
    (clone / "bin/techsapo").symlink_to(clone / leads_to)
    done = make(clone, "link", f"BINDIR={clone}/bin")
    assert (done.returncode, said in done.stdout) == (0, True)
    now = ".venv/bin/techsapo" if said == "linked " else leads_to
    assert (clone / "bin/techsapo").readlink() == clone / now


@pytest.fixture
def bare_clone(tmp_path: Path, repository: Path) -> Path:
    """A bare_clone with nothing but its Makefile: no venv was made yet."""
    (tmp_path / "Makefile").write_bytes((repository / "Makefile").read_bytes())
    return tmp_path


def make_lab(bare_clone: Path, apt_get: str) -> subprocess.CompletedProcess[str]:
    """As root on a machine that lacks one part of the lab, where `apt-get` is this shell script."""
    tools = bare_clone / "tools"
    tools.mkdir()
    (tools / "apt-get").write_text(f"#!/bin/sh\n{apt_get}\n")
    (tools / "apt-get").chmod(0o755)
    settings = ["ROOT=yes", f"POLICY={bare_clone}/policy-rc.d", "LAB_PARTS=no-such-command:no-such-package"]
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "LC_ALL": "C"}
    for inherited in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
        environment.pop(inherited, None)
    return subprocess.run(
        ["make", "lab", *settings],
        cwd=bare_clone, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_the_lab_installs_itself_where_no_venv_was_made_yet(bare_clone: Path) -> None:
    done = make_lab(bare_clone, 'echo "asked: $*"; [ -e policy-rc.d ]')
    assert (done.returncode, done.stderr) == (0, "")
    log = (bare_clone / ".venv/lab.log").read_text()
    assert log.splitlines()[-1].endswith("--no-install-recommends no-such-package")
    assert not (bare_clone / "policy-rc.d").exists()


def test_a_lab_that_can_not_be_installed_says_what_apt_get_said(bare_clone: Path) -> None:
    done = make_lab(bare_clone, '[ "$1" != install ] || { echo "E: no install" >&2; exit 100; }')
    assert done.returncode != 0
    assert "E: no install" in done.stdout
    assert "lab.log" not in done.stderr
    assert not (bare_clone / "policy-rc.d").exists()
