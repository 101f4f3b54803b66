"""Which build of this package runs: `0.9.0+3f2a9c1d04.9e07b2c41d`.

That is the version, a digest of the package's content (code, templates, lock file) and one of what it runs on
(Python, and the packages of the lock file as they are installed). Two processes with the same build run the
same code. The part before the dot is the same for a checkout, a wheel and the app's image.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
import sys
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
LOCK = ".ci/requirements.lock"
PACKAGED_OTEL_LOCK = "_requirements-otel.lock"
OTEL_LOCK = ".ci/requirements-otel.lock"
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
_ATTEMPTS = 5
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
    return read_content(Path(techsapo_ops.__file__).parent)


def code_of(other: str) -> str:
    """The part of a build that names its code."""
    version, plus, digests = other.partition("+")
    return version + plus + digests.partition(".")[0]


def is_other(other: str, *, elsewhere: bool = False) -> bool:
    """Whether the build `other` is another one than this process's.

    What runs `elsewhere`, in a container, runs on another Python: its code counts alone, as with the label of
    an image, which names no more.
    """
    return code_of(other) != code() if elsewhere or other == code_of(other) else other != build()


def difference(running: str) -> str:
    """In what the build `running` differs from this process's, in words: code, Python, or libraries."""
    if not running:
        return msg("the running program does not report its build")
    if code_of(running) != code():
        return msg("different code")
    mine, other = (each.rpartition(".")[2] for each in (build(), running))
    python = mine[:_PYTHON_DIGITS] != other[:_PYTHON_DIGITS]
    libraries = mine[_PYTHON_DIGITS:] != other[_PYTHON_DIGITS:]
    if python and libraries:
        return msg("the same code on another Python, with other Python packages")
    return (
        msg("the same code on another Python") if python else msg("the same code, with other Python packages")
    )


def read_content(package: Path) -> Content:
    """Content of the installed `package` folder, with the lock file and templates that belong to it.

    All of it is read: 15 ms for 800 files. Raises OpsError where files go meanwhile, several times over.
    """
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(FileNotFoundError):  # `git pull` is at work: look again
            return _content_now(package)
    from techsapo_ops.errors import OpsError

    raise OpsError(
        msg("{package} changed while techsapo was reading it", package=package),
        msg("wait until the upgrade of techsapo has finished, then try again"),
    )


def _content_now(package: Path) -> Content:
    pages = f"{package.name}/{PACKAGED_PAGES}"
    whole = hashlib.sha256()
    locked: frozenset[str] = frozenset()
    for name, path in files_of(package):
        if name == pages:
            continue
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - twice as fast as by Path
            data = file.read()
        whole.update(f"{name}\0{len(data)}\0".encode())
        whole.update(data)
        if name == LOCK:
            locked = frozenset(map(_normal, _LOCKED.findall(data.decode(errors="replace"))))
    return Content(whole.hexdigest(), locked)


def files_of(package: Path) -> Iterator[tuple[str, str]]:
    """The name of each file of the `package` folder in every way of installing, sorted, and its path."""
    files = {f"{package.name}/{name}": path for name, path in _below(str(package))}
    for inside, beside in MOVED:
        inner = f"{package.name}/{inside}"
        moved = {n: p for n, p in files.items() if n == inner or n.startswith(f"{inner}/")}
        for name, path in moved.items():
            del files[name]
            files[beside + name.removeprefix(inner)] = path
        outside = package.parent / beside
        if not moved and not (package / PACKAGED_LOCK).is_file():
            if outside.is_file():
                files[beside] = str(outside)
            elif outside.is_dir():
                files.update({f"{beside}/{name}": path for name, path in _below(str(outside))})
    yield from sorted(files.items())


def _below(folder: str, prefix: str = "") -> Iterator[tuple[str, str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name.endswith("~"):  # an editor's, while somebody edits
                continue
            if entry.is_dir():
                if entry.name != "__pycache__":
                    yield from _below(entry.path, f"{prefix}{entry.name}/")
            elif entry.is_file():
                yield f"{prefix}{entry.name}", entry.path


def _base(locked: frozenset[str], path: Iterable[str]) -> str:
    """Digits for this Python, then those for the packages of `locked` that are installed on `path`.

    By the names of their metadata folders, so that nothing is imported; what else is installed beside them,
    such as a developer's tools, makes no difference. `sys.version` has the date on which Python was built: a
    distribution's security fix keeps the number.
    """
    wanted = locked | OPTIONAL
    installed = set()
    for folder in dict.fromkeys(path):
        if Path(folder).name not in _SITES:
            continue
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
            for entry in entries:
                stem, suffix = os.path.splitext(entry.name)  # noqa: PTH122 - a version holds dots
                name, _, version = stem.partition("-")
                if suffix in _METADATA and _normal(name) in wanted:
                    installed.add((_normal(name), version))
    packages = hashlib.sha256(json.dumps(sorted(installed)).encode()).hexdigest()[:_PACKAGES_DIGITS]
    return hashlib.sha256(sys.version.encode()).hexdigest()[:_PYTHON_DIGITS] + packages


def _normal(name: str) -> str:
    """The name of a package as PyPA's specification compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


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
