"""Which build of this package runs: `0.2.0+3f2a9c1d04.9e07b2c41d`.

That is the version, a digest of the package's content (code, templates, lock file) and one of what it runs on
(Python, and the packages of the lock file as they are installed). Two processes with the same build run the
same code. The part before the dot is the same for a checkout, a wheel and the app's image.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pwd
import re
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import techsapo_ops
from techsapo_ops.messages import msg

PACKAGED_LOCK = "_requirements.lock"
PACKAGED_TEMPLATES = "_templates"
"""Names inside a wheel of what a checkout has beside the package."""
PACKAGED_PAGES = "_help.zip"
"""The built pages of docs/: they are no code, and a stack has no reason to restart for them."""
LOCK = "requirements.lock"
PACKAGED_OTEL_LOCK = "_requirements-otel.lock"
OTEL_LOCK = "requirements-otel.lock"
"""As LOCK, with the packages of the extra `otel`."""
TEMPLATES = "templates"
OPTIONAL = frozenset({"claude-agent-sdk", "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"})
"""Packages of the extras that the app imports and the lock file does not name."""

_CONTENT_DIGITS, _PYTHON_DIGITS, _PACKAGES_DIGITS = 10, 4, 6
_LOCKED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==", re.MULTILINE)
MOVED = ((PACKAGED_LOCK, LOCK), (PACKAGED_OTEL_LOCK, OTEL_LOCK), (PACKAGED_TEMPLATES, TEMPLATES))
"""Names inside a wheel, and those of the same beside a checkout's package."""
_SITES = frozenset({"site-packages", "dist-packages"})
_METADATA = (".dist-info", ".egg-info")
_FRESH_NS = 2_000_000_000
"""A file that has just changed may change once more within the same time stamp (git: racy index)."""
_LOOKS = 5
_NOTE = re.compile(r"(\d{1,10}) ([0-9A-Za-z.+!-]{1,80})\n")


@dataclass(frozen=True, slots=True)
class Content:
    """What the files of a package hold: SHA-256 of all, hexadecimal, and the names that its lock file has."""

    digest: str
    locked: frozenset[str]


@cache
def build() -> str:
    """The build that this process runs, as found when first asked: a long-lived process asks at its start."""
    return f"{code()}.{_base(content().locked, sys.path)}"


@cache
def code() -> str:
    """The part of `build` that is the same wherever this code is installed."""
    return f"{techsapo_ops.__version__}+{content().digest[:_CONTENT_DIGITS]}"


@cache
def content() -> Content:
    """The content of the package that this process has imported."""
    return read_content(Path(techsapo_ops.__file__).parent, own_cache())


def code_of(told: str) -> str:
    """The part of a build that names its code."""
    version, plus, digests = told.partition("+")
    return version + plus + digests.partition(".")[0]


def is_other(told: str, *, elsewhere: bool = False) -> bool:
    """Whether the build `told` is another one than this process's.

    What runs `elsewhere`, in a container, runs on another Python: its code counts alone, as with the label of
    an image, which names no more.
    """
    return code_of(told) != code() if elsewhere or told == code_of(told) else told != build()


def difference(told: str) -> str:
    """What of the build `told` is another than this process's, in words: code, Python, or libraries."""
    if not told:
        return msg("it does not tell its build")
    if code_of(told) != code():
        return msg("other code")
    mine, other = (each.rpartition(".")[2] for each in (build(), told))
    python = mine[:_PYTHON_DIGITS] != other[:_PYTHON_DIGITS]
    libraries = mine[_PYTHON_DIGITS:] != other[_PYTHON_DIGITS:]
    if python and libraries:
        return msg("the same code on another Python, with other Python packages")
    return (
        msg("the same code on another Python") if python else msg("the same code, with other Python packages")
    )


def own_cache() -> Path | None:
    """Where this user's digests are kept; not by $HOME, which sudo may leave at another user's."""
    try:
        return Path(pwd.getpwuid(os.geteuid()).pw_dir) / ".cache" / "techsapo"
    except KeyError:
        return None


def read_content(package: Path, kept: Path | None) -> Content:
    """Content of the installed `package` folder, with the lock file and templates that belong to it.

    Names, sizes, inodes and times of all files are looked at (2 ms for 450); the files are read only where
    those differ from the ones in the folder `kept` (40 ms). The time of a file's last change of any kind is
    among them, which no program can set: an edit that keeps size and modification time is seen too. Raises
    OpsError where files go while they are looked at, several times in a row.
    """
    for _ in range(_LOOKS):
        with contextlib.suppress(FileNotFoundError):  # `git pull` is at work: look again
            return _content_now(package, kept)
    from techsapo_ops.errors import OpsError

    raise OpsError(
        msg("{package} changes while it is read", package=package),
        msg("try again once the upgrade is through"),
    )


def _content_now(package: Path, kept: Path | None) -> Content:
    pages = f"{package.name}/{PACKAGED_PAGES}"
    looks = [(name, path, path.stat()) for name, path in files_of(package) if name != pages]
    key = hashlib.sha256(
        repr(
            [str(package), *((n, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for n, _, s in looks)]
        ).encode()
    ).hexdigest()
    name = f"build-{hashlib.sha256(os.fsencode(package)).hexdigest()[:16]}.json"
    if kept is not None and (known := _recall(kept, name, key)) is not None:
        return known
    read = _read(looks)
    newest = max((s.st_ctime_ns for _, _, s in looks), default=0)
    if kept is not None and time.time_ns() - newest > _FRESH_NS:
        _keep(kept, name, key, read)
    return read


def files_of(package: Path) -> Iterator[tuple[str, Path]]:
    """Each file of the `package` folder and its name in every way of installing, sorted by that name."""
    found = {f"{package.name}/{name}": path for name, path in _below(package)}
    for inside, beside in MOVED:
        inner = f"{package.name}/{inside}"
        moved = {n: p for n, p in found.items() if n == inner or n.startswith(f"{inner}/")}
        for name, path in moved.items():
            del found[name]
            found[beside + name.removeprefix(inner)] = path
        outside = package.parent / beside
        if not moved and not (package / PACKAGED_LOCK).is_file():
            if outside.is_file():
                found[beside] = outside
            found.update({f"{beside}/{name}": path for name, path in _below(outside)})
    yield from sorted(found.items())


def _below(folder: Path, prefix: str = "") -> Iterator[tuple[str, Path]]:
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name.endswith("~"):  # an editor's, while somebody edits
                continue
            if entry.is_dir():
                if entry.name != "__pycache__":
                    yield from _below(Path(entry.path), f"{prefix}{entry.name}/")
            elif entry.is_file():
                yield f"{prefix}{entry.name}", Path(entry.path)


def _read(looks: Iterable[tuple[str, Path, os.stat_result]]) -> Content:
    whole = hashlib.sha256()
    locked: frozenset[str] = frozenset()
    for name, path, _ in looks:
        data = path.read_bytes()
        whole.update(f"{name}\0{len(data)}\0".encode())
        whole.update(data)
        if name == LOCK:
            locked = frozenset(map(_normal, _LOCKED.findall(data.decode(errors="replace"))))
    return Content(whole.hexdigest(), locked)


def _base(locked: frozenset[str], path: Iterable[str]) -> str:
    """Digits for this Python, then those for the packages of `locked` that are installed on `path`.

    By the names of their metadata folders, so that nothing is imported; what else is installed beside them,
    such as a developer's tools, makes no difference. `sys.version` has the date on which Python was built: a
    distribution's security fix keeps the number.
    """
    wanted = locked | OPTIONAL
    found = set()
    for folder in dict.fromkeys(path):
        if Path(folder).name not in _SITES:
            continue
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
            for entry in entries:
                stem, suffix = os.path.splitext(entry.name)  # noqa: PTH122 - a version holds dots
                name, _, version = stem.partition("-")
                if suffix in _METADATA and _normal(name) in wanted:
                    found.add((_normal(name), version))
    packages = hashlib.sha256(json.dumps(sorted(found)).encode()).hexdigest()[:_PACKAGES_DIGITS]
    return hashlib.sha256(sys.version.encode()).hexdigest()[:_PYTHON_DIGITS] + packages


def _normal(name: str) -> str:
    """The name of a package as PyPA's specification compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _recall(folder: Path, name: str, key: str) -> Content | None:
    """What is kept for `key`; None where there is nothing, or another user may have written it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # not there yet, or somebody's link: the files are read instead
        return None
    try:
        if not _own(os.fstat(descriptor)):
            return None
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=descriptor)
        with os.fdopen(file, "rb") as opened:
            facts = os.fstat(file)
            if not _own(facts) or not stat.S_ISREG(facts.st_mode):
                return None
            value = json.loads(opened.read(1 << 16))
        if value["key"] != key:
            return None
        return Content(str(value["digest"]), frozenset(map(str, value["locked"])))
    except (OSError, ValueError, KeyError, TypeError):  # not there, or cut: the files are read instead
        return None
    finally:
        os.close(descriptor)


def _own(facts: os.stat_result) -> bool:
    return facts.st_uid == os.geteuid() and not facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _keep(folder: Path, name: str, key: str, read: Content) -> None:
    from techsapo_ops.adapters.files import write_atomic
    from techsapo_ops.errors import OpsError

    value = {"key": key, "digest": read.digest, "locked": sorted(read.locked)}
    try:
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True)
        if not folder.is_symlink() and _own(folder.stat()):
            write_atomic(folder / name, json.dumps(value).encode(), 0o600)
    except (OSError, OpsError):  # a home that can't be written, a full disk: the files are read the next time
        return


def note(path: Path) -> None:
    """Write down in `path` which build this process runs. Raises OpsError when it can't be written."""
    from techsapo_ops.adapters.files import write_atomic

    write_atomic(path, f"{os.getpid()} {build()}\n".encode())


def noted(path: Path, pid: int | None) -> str:
    """The build that the process `pid` noted in `path`; empty where that process noted none.

    The folder may belong to a service's user: nothing but a small regular file of the right form is read.
    """
    if pid is None:
        return ""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # none there, or not ours to read
        return ""
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        match = _NOTE.fullmatch(file.read(128).decode(errors="replace"))
    return match[2] if match is not None and int(match[1]) == pid else ""
