"""The images that hosts of a swarm have from the start, and a daemon's data folder that holds them.

Loading them takes a minute a daemon, so one daemon does it once and its folder is kept in the lab's cache.
In a host's folder each layer is a link to it: no daemon changes a layer, and what the kernel has read of one
for one host it has for all.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from docker_lab import KINDS, build, cache, docker, docker_lab, image_tag, present
from machines import Machine, Wire
from servers import binary

MORE = ("nginx-next", "keepalived")
"""Images that one host has no use for."""
_KEPT = 2
"""Folders of images that are kept: those of two states of the repository, which take turns."""


def swarm_images() -> Mapping[str, str]:
    """The spec's `images:` for several hosts; nothing is made."""
    tag = image_tag()
    names = {kind: f"techsapo-lab/{kind}:{tag}" for kind in (*KINDS, *MORE)}
    return names | {
        "nginx": names["nginx-next"],
        "sentinel": names["redis"],
        "base": f"techsapo-lab/python:{tag}",
    }


@contextlib.contextmanager
def loaded() -> Iterator[Path]:
    """The folder that `data_with_images` takes, kept while it is used; made where the cache has it not."""
    ready = home() / f"images-{image_tag()}"
    with (home() / f"{ready.name}.users").open("w") as users:
        with (home() / "images.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            fcntl.flock(users, fcntl.LOCK_SH)
            if not (ready / "complete").exists():
                shutil.rmtree(ready, ignore_errors=True)
                _load(ready)
                (ready / "complete").touch()
                _forget_old(ready)
        yield ready


def data_with_images(ready: Path, folder: Path) -> None:
    """Make `folder`, a data folder for dockerd with all images of `ready`."""
    layers = folder / "overlay2"
    layers.mkdir(parents=True)
    # What a daemon writes to is its own.
    shutil.copytree(ready / "image", folder / "image")
    shutil.copytree(ready / "overlay2/l", layers / "l", symlinks=True)
    for layer in (ready / "overlay2").iterdir():
        if layer.name != "l":
            (layers / layer.name).symlink_to(layer)


def _forget_old(ready: Path) -> None:
    """Remove folders of earlier states of the repository, the oldest first, unless a lab uses one."""
    found = [folder for folder in home().glob("images-*") if folder.is_dir() and folder != ready]
    for old in sorted(found, key=lambda folder: folder.stat().st_mtime)[: 1 - _KEPT or None]:
        users = home() / f"{old.name}.users"
        with contextlib.suppress(BlockingIOError), users.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old)
            users.unlink()


def home() -> Path:
    """Where labs of swarms keep what outlives them."""
    folder = cache() / "swarm"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _load(ready: Path) -> None:
    tag = image_tag()
    with docker_lab(), ExitStack() as parts:
        with (cache() / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not all(present(f"techsapo-lab/{name}:{tag}") for name in MORE):
                build(tag, "swarm")
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="techsapo-swarm-", dir=home())))
        wire = parts.enter_context(Wire.made())
        loader = parts.enter_context(Machine("images", wire, 1, folder / "images").running())
        names = sorted({image for image in swarm_images().values() if image.endswith(tag)})
        saved = subprocess.Popen([binary("docker"), "save", *names], stdout=subprocess.PIPE)
        docker("-H", loader.docker, "load", "--quiet", stdin=saved.stdout)
        assert saved.wait() == 0, "docker save"
        loader.stop_daemon()
        ready.mkdir()
        for part in ("image", "overlay2"):
            (folder / "images/data" / part).rename(ready / part)
