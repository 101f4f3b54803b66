"""What containers need before any of them can start: folders, keys, readable secrets, images."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from techsapo_ops.adapters import access_list
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.folders import keep_out_of_git, opened
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import facts as facts_of_kinds
from techsapo_ops.services.runtimes import runtime_of
from techsapo_ops.stack.desired import ContainerUnit, Desired
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.own_tls import own_tls
from techsapo_ops.stack.topology import Topology

COMPOSE_FILES = "docker/"
BUILT = ("techsapo/app", "techsapo/scheduler")
"""Repositories of the images that are built here, and of no others."""
_PULL_SECONDS = 1800.0
_BUILD_SECONDS = 1800.0


def folders(layout: Layout) -> None:
    """The folders that are mounted into containers; their users may pass through them, not write."""
    for path in (layout.state, layout.config, layout.textfiles, layout.certs):
        with opened(path, make=0o777):
            pass
    with opened(layout.keys, make=0o711):
        pass
    keep_out_of_git(layout.state)


def keys(topology: Topology) -> None:
    """The secrets that containers are given, made now where the spec has none. Raises OpsError."""
    for kind in dict.fromkeys(service.kind for service in topology.services):
        runtime_of(kind).make_keys(topology)


def readable(desired: Desired) -> None:
    """Let each container's user read what it alone is to read: secrets, keys, the certificates' keys."""
    topology, catalogue = desired.topology, facts_of_kinds()
    for file in desired.files:
        path = topology.layout.config / file.path
        if file.path.startswith(COMPOSE_FILES) and file.owner is not None and file.mode & 0o044 == 0:
            access_list.let_read(path, [catalogue[file.owner].uid])
    readable_keys(topology)


def readable_keys(topology: Topology) -> None:
    """Let the users of containers read the keys that the tool made for them, also new ones."""
    readers: dict[Path, set[int]] = {}
    for service in topology.services:
        for path in runtime_of(service.kind).readable(topology):
            readers.setdefault(path, set()).add(service.facts.uid)
        if (tls := own_tls(topology, service)) is not None:
            readers.setdefault(tls.key, set()).add(service.facts.uid)
    for path, uids in readers.items():
        if path.exists():
            access_list.let_read(path, uids)


def images(
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


def discard(docker: Docker, ids: Collection[str]) -> None:
    """Remove the images built here among `ids`; Docker keeps one that a container of whichever stack has."""
    found = {name: image for repository in BUILT for name, image in docker.image_names(repository).items()}
    if names := [name for name, image in found.items() if image in ids]:
        docker.attempt("image", "rm", *names)


def _end(text: str, lines: int = 15) -> str:
    return "\n".join(text.splitlines()[-lines:])
