"""The tool as it is here, and as it was at an earlier commit: trees, each installed in a venv of its own.

An earlier tree comes out of git, its packages by pip's own configuration. Both are kept in the lab's cache,
which outlives runs.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import venv
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
BEFORE = "f63733181b7f1160b00813dbe0e247bf5775e830"
"""Version 0.1.0: what stacks are upgraded from, and go back to."""
_NEEDED = (
    "techsapo_ops", "templates", "pyproject.toml", "README.md", "requirements.lock",
    "tests/lab/fault_point.py",
)  # fmt: skip


def cache() -> Path:
    """The folder that outlives test runs."""
    return Path(os.environ.get("TECHSAPO_LAB_CACHE") or Path.home() / ".cache" / "techsapo-lab")


@dataclass(frozen=True)
class Tool:
    """A tree of techsapo-ops and the venv that it is installed in."""

    tree: Path
    venv: Path

    @property
    def fault_point(self) -> Path:
        """What kills this tool's `up` at a point: it knows this tree's insides."""
        return self.tree / "tests" / "lab" / "fault_point.py"


def this_tool() -> Tool:
    """The tree that is tested."""
    return Tool(REPOSITORY, Path(sys.prefix))


def earlier_tool(commit: str = BEFORE) -> Tool:
    """The tree of `commit`, installed as `make install` does it; made now where the cache has it not.

    Its folder never moves once it is there, since a venv knows its own path; what a killed run left half made
    lacks the mark of a whole one.
    """
    assert is_here(commit), (
        f"{REPOSITORY} lacks commit {commit}, which the upgrade lab starts from: it is no clone of the "
        "repository, or a shallow one, to which `git fetch --unshallow` brings it"
    )
    # A venv is bound to its Python; the lock of its packages is part of the commit.
    key = hashlib.sha256(f"{commit} {sys.version} {sys.base_prefix}".encode()).hexdigest()[:12]
    home = cache() / f"tool-{commit[:7]}-{key}"
    made = Tool(home / "tree", home / "venv")
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "tool.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "complete").exists():
            shutil.rmtree(home, ignore_errors=True)
            _unpack(commit, made.tree)
            _install(made)
            (home / "complete").touch()
    return made


def lock_of(commit: str = BEFORE) -> bytes:
    """requirements.lock of `commit`."""
    return _git("show", f"{commit}:requirements.lock").stdout


def is_here(commit: str) -> bool:
    """Whether this clone has `commit`."""
    return _git("cat-file", "-e", f"{commit}^{{commit}}", check=False).returncode == 0


def _git(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(["git", "-C", str(REPOSITORY), *arguments], capture_output=True, check=False)
    assert not check or done.returncode == 0, done.stderr.decode(errors="replace")
    return done


def _unpack(commit: str, tree: Path) -> None:
    packed = _git("archive", "--format=tar", commit, "--", *_NEEDED).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(tree, filter="data")


def _install(tool: Tool) -> None:
    venv.create(tool.venv, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", str(tool.venv / "bin" / "python"), "install", "--quiet"]
    for what in (
        ("--no-deps", "--require-hashes", "-r", str(tool.tree / "requirements.lock")),
        ("--no-deps", "--no-build-isolation", "-e", str(tool.tree)),
    ):
        done = subprocess.run([*pip, *what], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
