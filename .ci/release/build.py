"""Wheel and source archive of a commit: the same bytes for everybody who builds it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]


class ReleaseError(Exception):
    """What keeps this from being a release, for whoever asked for one."""


def run(
    argv: list[str], where: Path, environment: Mapping[str, str] | None = None, timeout: int = 900
) -> str:
    """What `argv` printed on stdout. Raises ReleaseError, with what it said, where it does not end with 0."""
    try:
        done = subprocess.run(
            argv, cwd=where, capture_output=True, text=True, timeout=timeout, check=False,
            env=dict(os.environ if environment is None else environment),
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ReleaseError(f"{' '.join(argv)}: {error}") from error
    if done.returncode != 0:
        said = (done.stdout + done.stderr)[-4000:]
        raise ReleaseError(f"{' '.join(argv)} ended with {done.returncode}:\n{said}")
    return done.stdout


def uncommitted(root: Path = ROOT) -> list[str]:
    """Files that differ from the commit, or are not in it."""
    return [line[3:] for line in run(["git", "status", "--porcelain"], root).splitlines()]


def date_of(root: Path = ROOT) -> str:
    """Seconds since 1970 that every file in what is built gets: SOURCE_DATE_EPOCH, else the commit's."""
    return os.environ.get("SOURCE_DATE_EPOCH") or run(["git", "log", "-1", "--format=%ct"], root).strip()


def build(target: Path, kinds: Iterable[str] = ("sdist", "wheel"), root: Path = ROOT) -> list[Path]:
    """Build `root` into the empty folder `target`. Needs hatchling beside this Python."""
    flags = [word for kind in kinds for word in ("-t", kind)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": date_of()}
    run([sys.executable, "-m", "hatchling", "build", *flags, "-d", str(target)], root, environment)
    return sorted(p for p in target.iterdir() if p.suffix in {".gz", ".whl"})


def again(source: Path, work: Path) -> Path:
    """The wheel that the source archive makes: what somebody gets who installs from it."""
    with tarfile.open(source) as archive:
        archive.extractall(work, filter="data")
    (root,) = (p for p in work.iterdir() if p.is_dir())
    (wheel,) = build(work / "built", ["wheel"], root)
    return wheel


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def checksums(files: Iterable[Path]) -> str:
    """Lines for `sha256sum -c`, to be run in the folder of the files."""
    return "".join(f"{digest(path)}  {path.name}\n" for path in sorted(files))
