"""`make lab` on a fresh clone, with an apt-get that only pretends."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest


@pytest.fixture
def clone(tmp_path: Path, repository: Path) -> Path:
    """A clone with nothing but its Makefile: no venv was made yet."""
    (tmp_path / "Makefile").write_bytes((repository / "Makefile").read_bytes())
    return tmp_path


def make_lab(clone: Path, apt_get: str) -> subprocess.CompletedProcess[str]:
    """As root on a machine that lacks one part of the lab, where `apt-get` is this shell script."""
    tools = clone / "tools"
    tools.mkdir()
    (tools / "apt-get").write_text(f"#!/bin/sh\n{apt_get}\n")
    (tools / "apt-get").chmod(0o755)
    settings = ["ROOT=yes", f"POLICY={clone}/policy-rc.d", "LAB_PARTS=no-such-command:no-such-package"]
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "LC_ALL": "C"}
    for inherited in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
        environment.pop(inherited, None)
    return subprocess.run(
        ["make", "lab", *settings],
        cwd=clone, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_the_lab_installs_itself_where_no_venv_was_made_yet(clone: Path) -> None:
    done = make_lab(clone, 'echo "asked: $*"; [ -e policy-rc.d ]')
    assert (done.returncode, done.stderr) == (0, "")
    log = (clone / ".venv/lab.log").read_text()
    assert log.splitlines()[-1].endswith("--no-install-recommends no-such-package")
    assert not (clone / "policy-rc.d").exists()


def test_a_lab_that_can_not_be_installed_says_what_apt_get_said(clone: Path) -> None:
    done = make_lab(clone, '[ "$1" != install ] || { echo "E: no install" >&2; exit 100; }')
    assert done.returncode != 0
    assert "E: no install" in done.stdout
    assert "lab.log" not in done.stderr
    assert not (clone / "policy-rc.d").exists()
