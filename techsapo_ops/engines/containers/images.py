"""Gets the images of a stack: built or pulled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.process import Completed
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.desired import ContainerUnit

_PULL_SECONDS = 1800.0
_BUILD_SECONDS = 1800.0


def bring(
    docker: Docker, project: str, config: Path, units: Sequence[ContainerUnit], say: Callable[[str], None]
) -> None:
    """Build or pull the images that are not here. Raises OpsError with Docker's own words."""
    present = docker.image_ids(unit.image for unit in units)
    missing = {unit.image: unit for unit in units if unit.image not in present}
    for image, unit in missing.items():
        file = config / unit.file
        say(
            msg(
                "{which} the image {image}",
                which=msg("building") if unit.builds else msg("pulling"),
                image=image,
            )
        )
        if unit.builds:
            build(docker, project, file, unit.service, image)
            continue
        done = docker.attempt("pull", "--quiet", image, timeout=_PULL_SECONDS)
        if done.code != 0:
            raise _refused(msg("pull"), image, done)


def build(docker: Docker, project: str, file: Path, service: str, image: str) -> None:
    """Build the image of one service of a compose file. Raises OpsError with Docker's own words."""
    done = docker.compose(project, file, ("build", service), timeout=_BUILD_SECONDS)
    if done.code != 0:
        raise _refused(msg("build"), image, done)


def _refused(what: str, image: str, done: Completed) -> OpsError:
    said = _end(done.output)
    gap = "\n" if "\n" in said else " "
    return OpsError(
        msg("cannot {what} {image}:{gap}{said}", what=what, image=image, gap=gap, said=said),
        msg("check the network, or name an image that is here under `images:` in the spec"),
    )


def _end(text: str, lines: int = 15) -> str:
    return "\n".join(text.splitlines()[-lines:])
