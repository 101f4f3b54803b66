"""What the app's image is built from: this package as it is installed, and its locked dependencies."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import techsapo_ops

_PACKAGE = Path(techsapo_ops.__file__).parent
_PACKAGED_LOCK = "_requirements.lock"


@dataclass(frozen=True, slots=True)
class Source:
    """The build context named `source`: `folder` with the package, its `lock` file, and `templates` beside
    the package where it is a checkout (a wheel has them inside)."""

    folder: Path
    lock: str
    templates: bool
    digest: str
    """Short digest of all that goes into the image; it is the image's tag."""


def app_image(base: str, dockerfile: str) -> str:
    """Name of the app's image: another package, base or Dockerfile is another image."""
    content = hashlib.sha256(f"{source().digest}\n{base}\n{dockerfile}".encode())
    return f"techsapo/app:{content.hexdigest()[:12]}"


@cache
def source() -> Source:
    """Where the build finds this package."""
    folder = _PACKAGE.parent
    packaged = _PACKAGE / _PACKAGED_LOCK
    lock = packaged if packaged.is_file() else folder / "requirements.lock"
    templates = not packaged.is_file() and (folder / "templates").is_dir()
    content = hashlib.sha256()
    for path in (*_files(_PACKAGE), lock, *(_files(folder / "templates") if templates else ())):
        content.update(f"{path.relative_to(folder).as_posix()}\0".encode())
        content.update(path.read_bytes() if path.is_file() else b"")
    return Source(folder, lock.relative_to(folder).as_posix(), templates, content.hexdigest())


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path
