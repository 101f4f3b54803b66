"""What the app's image is built from: this package as it is installed, and its locked dependencies."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import techsapo_ops
from techsapo_ops.adapters.build import LOCK, PACKAGED_LOCK, TEMPLATES, content
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.layout import SCHEDULER

IMAGE = "techsapo/app"
SCHEDULER_IMAGE = "techsapo/scheduler"
BASE_IMAGE = "python:3.13-slim"
DOCKER_CLI_IMAGE = "docker:28-cli"
RESTIC_IMAGE = "restic/restic:0.18.0"
_PACKAGE = Path(techsapo_ops.__file__).parent


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

    Else the tag is this version's: where no container is made from the image, an edit of the package is no
    change of the stack.
    """
    if not exact:
        return f"{name}:{techsapo_ops.__version__}"
    content = hashlib.sha256(f"{_digest()}\n{base}\n{dockerfile}".encode())
    return f"{name}:{content.hexdigest()[:12]}"


def source() -> Source:
    """Where the build finds this package."""
    folder = _PACKAGE.parent
    packaged = _PACKAGE / PACKAGED_LOCK
    lock = packaged if packaged.is_file() else folder / LOCK
    templates = not packaged.is_file() and (folder / TEMPLATES).is_dir()
    return Source(folder, lock.relative_to(folder).as_posix(), templates)


def _digest() -> str:
    """Digest of all that goes into the image."""
    return content().digest
