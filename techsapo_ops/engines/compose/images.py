"""Gets the images of a Docker Compose project."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from techsapo_ops.adapters.docker import Docker
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
            done = docker.compose(project, file, ("build", unit.service), timeout=_BUILD_SECONDS)
            what = msg("build")
        else:
            done = docker.attempt("pull", "--quiet", image, timeout=_PULL_SECONDS)
            what = msg("pull")
        if done.code != 0:
            said = _end(done.output)
            gap = "\n" if "\n" in said else " "
            raise OpsError(
                msg("cannot {what} {image}:{gap}{said}", what=what, image=image, gap=gap, said=said),
                msg("check the network, or name an image that is here under `images:` in the spec"),
            )


def _end(text: str, lines: int = 15) -> str:
    return "\n".join(text.splitlines()[-lines:])
