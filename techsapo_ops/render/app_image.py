"""What the app's image is built from: this package as it is installed, and its locked dependencies."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import techsapo_ops
from techsapo_ops.spec.layout import SCHEDULER
from techsapo_ops.spec.models import Spec

IMAGE = "techsapo/app"
SCHEDULER_IMAGE = "techsapo/scheduler"
BASE_IMAGE = "python:3.13-slim"
DOCKER_CLI_IMAGE = "docker:28-cli"
RESTIC_IMAGE = "restic/restic:0.18.0"
_PACKAGE = Path(techsapo_ops.__file__).parent
_PACKAGED_LOCK = "_requirements.lock"


@dataclass(frozen=True, slots=True)
class Source:
    """The build context named `source`: `folder` with the package, its `lock` file, and `templates` beside
    the package where it is a checkout (a wheel has them inside)."""

    folder: Path
    lock: str
    templates: bool


def base_image(spec: Spec) -> str:
    """What the app's image is built from."""
    return spec.images.get("base", BASE_IMAGE)


def docker_cli_image(spec: Spec) -> str:
    """Where the scheduler's image gets the docker client and its compose plugin from."""
    return spec.images.get("docker-cli", DOCKER_CLI_IMAGE)


def restic_image(spec: Spec) -> str | None:
    """Where the scheduler's image gets restic from; None where backups are not copied off-site."""
    return spec.images.get("restic", RESTIC_IMAGE) if spec.backup.offsite is not None else None


def built_from(spec: Spec, service: str) -> tuple[str, ...]:
    """What the image of `service` is built from, where it is built here."""
    more = (docker_cli_image(spec), restic_image(spec)) if service == SCHEDULER else ()
    return (base_image(spec), *(image for image in more if image is not None))


def app_image(base: str, dockerfile: str, *, exact: bool, name: str = IMAGE) -> str:
    """Name of an image with this package. With `exact` another package, base or Dockerfile is another image.

    Else the tag is this version's: every file of the package is read for the other, and where no container
    is made from the image, an edit of the package is no change of the stack.
    """
    if not exact:
        return f"{name}:{techsapo_ops.__version__}"
    content = hashlib.sha256(f"{_digest()}\n{base}\n{dockerfile}".encode())
    return f"{name}:{content.hexdigest()[:12]}"


def source() -> Source:
    """Where the build finds this package."""
    folder = _PACKAGE.parent
    packaged = _PACKAGE / _PACKAGED_LOCK
    lock = packaged if packaged.is_file() else folder / "requirements.lock"
    templates = not packaged.is_file() and (folder / "templates").is_dir()
    return Source(folder, lock.relative_to(folder).as_posix(), templates)


@cache
def _digest() -> str:
    """Digest of all that goes into the image."""
    found = source()
    more = _files(found.folder / "templates") if found.templates else ()
    content = hashlib.sha256()
    for path in (*_files(_PACKAGE), found.folder / found.lock, *more):
        content.update(f"{path.relative_to(found.folder).as_posix()}\0".encode())
        content.update(path.read_bytes() if path.is_file() else b"")
    return content.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path
