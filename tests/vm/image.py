"""The disk of a fresh Debian machine, made once and kept: debootstrap, a kernel, and an SSH key.

Mirrors and package indexes are this host's own, found when the disk is made, and stand in no file of ours.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.own_debian import apt_as_here, first_mirror

SUITE = "trixie"
SIZE = "16G"
KERNEL = ("linux-image-cloud-amd64", "initramfs-tools")
PACKAGES = (
    "systemd", "systemd-sysv", "udev", "dbus", "openssh-server", "iproute2", "procps",
    "ca-certificates", "python3", "python3-venv", "make", "git",
)  # fmt: skip
"""Debian's own way to boot, a door, and what README says that the first command needs."""
_NETWORK = """[Match]
Name=en* eth*
[Network]
Address=10.0.2.15/24
Gateway=10.0.2.2
DNS=10.0.2.3
"""
_KEEP = """# What no program flushes is not written for an hour, so that it is lost with the power.
vm.dirty_expire_centisecs = 360000
vm.dirty_writeback_centisecs = 0
vm.dirty_background_ratio = 60
vm.dirty_ratio = 80
"""


@dataclass(frozen=True)
class Image:
    """A disk that is only read, what boots it, and the key that opens the machine."""

    disk: Path
    kernel: Path
    initrd: Path
    key: Path


def made(folder: Path) -> Image:
    """The image below `folder`; made where it is not there yet, which takes some minutes and needs root."""
    image = Image(folder / "debian.img", folder / "vmlinuz", folder / "initrd.img", folder / "key")
    if image.disk.exists():
        return image
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("key*"):
        old.unlink()
    _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(image.key))
    root = folder / "root"
    root.mkdir(exist_ok=True)
    # In memory: dpkg flushes every file, which is most of the time otherwise.
    _run("mount", "-t", "tmpfs", "-o", "size=4g", "vm-lab", str(root))
    try:
        _debian(root, image.key.with_suffix(".pub").read_text())
        for name, target in (("vmlinuz", image.kernel), ("initrd.img", image.initrd)):
            shutil.copyfile(sorted((root / "boot").glob(f"{name}-*"))[-1], target)
        partial = folder / "debian.partial"
        partial.unlink(missing_ok=True)
        _run("truncate", "-s", SIZE, str(partial))
        _run("mke2fs", "-q", "-t", "ext4", "-d", str(root), str(partial))
        partial.rename(image.disk)
    finally:
        _run("umount", str(root))
        root.rmdir()
    return image


def _debian(root: Path, key: str) -> None:
    packages = f"--include={','.join(PACKAGES)}"
    _run("debootstrap", "--variant=minbase", packages, SUITE, str(root), *first_mirror())
    _like_this_host(root)
    (root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
    (root / "usr/sbin/policy-rc.d").chmod(0o755)
    quietly = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    _run("chroot", str(root), "apt-get", "update", "-q", **quietly)
    _run("chroot", str(root), "apt-get", "install", "-y", "-q", "--no-install-recommends", *KERNEL, **quietly)
    _run("chroot", str(root), "apt-get", "clean")
    (root / "usr/sbin/policy-rc.d").unlink()
    (root / "etc/fstab").write_text("/dev/vda / ext4 rw,commit=300 0 1\n")
    (root / "etc/hostname").write_text("vm-lab\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost vm-lab\n")
    (root / "etc/sysctl.d/90-vm-lab.conf").write_text(_KEEP)
    (root / "etc/systemd/network").mkdir(parents=True, exist_ok=True)
    (root / "etc/systemd/network/10-lab.network").write_text(_NETWORK)
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").write_text("nameserver 10.0.2.3\n")
    ssh = root / "root/.ssh"
    ssh.mkdir(mode=0o700, exist_ok=True)
    (ssh / "authorized_keys").write_text(key)
    (root / "etc/ssh/sshd_config.d/lab.conf").write_text("UseDNS no\nMaxSessions 40\nMaxStartups 40\n")
    _run("systemctl", f"--root={root}", "enable", "systemd-networkd.service", "ssh.service")
    _run("systemctl", f"--root={root}", "mask", "serial-getty@ttyS0.service")


def _like_this_host(root: Path) -> None:
    """Packages come from where this host has them, by apt and by pip, and are believed as here."""
    apt_as_here(root)
    for name in ("etc/pip.conf", "etc/ssl/certs/ca-certificates.crt"):
        if (host := Path("/") / name).exists():
            shutil.copyfile(host, root / name)
    told = [
        f"{name}={value}\n" for name, value in os.environ.items() if name in {"PIP_INDEX_URL", "PIP_CERT"}
    ]
    with (root / "etc/environment").open("a") as file:
        file.writelines(told)


def _run(*argv: str, **variables: str) -> None:
    done = subprocess.run(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        stdin=subprocess.DEVNULL, env={**os.environ, **variables},
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(argv[:4])} …\n{done.stdout[-3000:]}")
