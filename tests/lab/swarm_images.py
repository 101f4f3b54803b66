"""The images that hosts of a swarm have from the start, and a daemon's data folder that holds them.

Loading them takes a minute a daemon, so one daemon does it once and its folder is kept in the lab's cache.
A host's folder is then made from hard links: no daemon changes the files of a layer, and what the kernel has
read of them for one host it has for all.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from docker_lab import KINDS, build, docker, docker_lab, image_tag, present
from machines import Machine, Wire
from servers import binary
from tools import cache

MORE = ("nginx-next", "keepalived")
"""Images that one host has no use for."""


def swarm_images() -> Mapping[str, str]:
    """The spec's `images:` for several hosts; nothing is made."""
    tag = image_tag()
    names = {kind: f"techsapo-lab/{kind}:{tag}" for kind in (*KINDS, *MORE)}
    return names | {
        "nginx": names["nginx-next"],
        "sentinel": names["redis"],
        "base": f"techsapo-lab/python:{tag}",
    }


def data_with_images(folder: Path) -> None:
    """Make `folder`, a data folder for dockerd with all images, on the disk of the lab's cache."""
    ready = _template()
    folder.mkdir(parents=True)
    # Metadata that a daemon writes to is its own; layers are shared.
    shutil.copytree(ready / "image", folder / "image")
    subprocess.run(["cp", "-a", "-l", str(ready / "overlay2"), str(folder)], check=True)


def _template() -> Path:
    ready = home() / f"images-{image_tag()}"
    with (home() / "images.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (ready / "complete").exists():
            for old in home().glob("images-*"):
                shutil.rmtree(old)
            _load(ready)
            (ready / "complete").touch()
    return ready


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
