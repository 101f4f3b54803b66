"""The disk of a fresh Debian machine, made once and kept.

Mirrors and package indexes are this host's own, found when the disk is made, and stand in no file of ours.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.own_debian import apt_as_here, first_mirror

SUITE = "trixie"
SIZE = "16G"
PACKAGES = (
    "systemd", "systemd-sysv", "udev", "dbus", "iproute2", "procps", "ca-certificates",
    "python3", "python3-venv", "make", "git",
)  # fmt: skip
"""Debian's own way to boot, and what README says that the first command needs."""


def made(image: Path) -> Path:
    """The image; made where it is not there yet, which takes some two minutes and needs root."""
    if image.exists():
        return image
    root = image.parent / "debian"
    root.mkdir(parents=True, exist_ok=True)
    # In memory: dpkg flushes every file, which is most of the time otherwise.
    _run("mount", "-t", "tmpfs", "-o", "size=4g", "power-lab", str(root))
    try:
        _debian(root)
        partial = image.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        _run("truncate", "-s", SIZE, str(partial))
        _run("mke2fs", "-q", "-t", "ext4", "-d", str(root), str(partial))
        partial.rename(image)
    finally:
        _run("umount", str(root))
        root.rmdir()
    return image


def _debian(root: Path) -> None:
    packages = f"--include={','.join(PACKAGES)}"
    _run("debootstrap", "--variant=minbase", packages, SUITE, str(root), *first_mirror())
    apt_as_here(root)
    for name in ("etc/pip.conf", "etc/ssl/certs/ca-certificates.crt", "etc/resolv.conf"):
        if (host := Path("/") / name).exists():
            shutil.copyfile(host, root / name)
    _run("chroot", str(root), "apt-get", "update", "-q")
    (root / "etc/hostname").write_text("power-lab\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost power-lab\n")


def _run(*argv: str) -> None:
    done = subprocess.run(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        stdin=subprocess.DEVNULL, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"},
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(argv[:4])} …\n{done.stdout[-3000:]}")
