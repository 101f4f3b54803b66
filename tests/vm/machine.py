"""A machine in qemu: boot it, log in, and pull its plug."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.vm.image import Image

MEMORY = "4096"
PROCESSORS = "2"
BOOT = 300.0
"""Seconds that a boot may take, without KVM and beside other work."""
# Beside other work the kernel finds that a timer of qemu's is late, and gives up: it is told not to look.
_KERNEL = (
    "root=/dev/vda rw rootflags=commit=300 console=ttyS0 quiet net.ifnames=0 no_timer_check panic=-1 "
    "systemd.mask=serial-getty@ttyS0.service"
)


class Machine:
    """One machine with a disk of its own, like the image's at first; what it says is in `console.log`."""

    def __init__(self, image: Image, folder: Path) -> None:
        self.image = image
        self.folder = folder
        self.disk = folder / "disk.img"
        self._door = _free_port()
        self._qemu: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def fresh(self, kept: Path | None = None) -> None:
        """A new disk like that of the image, or like `kept`; only what is in use is copied."""
        _copy(kept or self.image.disk, self.disk)

    def keep(self, copy: Path) -> None:
        """Keep a copy of the disk, of the machine switched off."""
        _copy(self.disk, copy)

    def boot(self) -> float:
        """Switch it on; seconds until one can log in."""
        began = time.monotonic()
        log = (self.folder / "console.log").open("ab")
        self._qemu = subprocess.Popen(
            [
                "nice", "-n", "10", "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max",
                "-m", MEMORY, "-smp", PROCESSORS,
                "-kernel", str(self.image.kernel), "-initrd", str(self.image.initrd), "-append", _KERNEL,
                "-drive", f"file={self.disk},format=raw,if=virtio,cache=writeback",
                "-netdev", f"user,id=n,hostfwd=tcp:127.0.0.1:{self._door}-:22",
                "-device", "virtio-net-pci,netdev=n", "-device", "virtio-rng-pci",
                "-display", "none", "-serial", "stdio", "-no-reboot",
            ],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        log.close()
        self._until(lambda: self.run("true", timeout=30, check=False).returncode == 0, BOOT, "a login")
        return time.monotonic() - began

    def cut(self) -> None:
        """Pull the plug: what the machine has not flushed is gone."""
        assert self._qemu is not None
        os.kill(self._qemu.pid, signal.SIGKILL)
        self._qemu.wait()
        self._qemu = None

    def off(self) -> None:
        """Switch it off as one should; pull the plug where that takes too long."""
        if self._qemu is None:
            return
        self.run("systemctl poweroff", timeout=30, check=False)
        try:
            self._qemu.wait(BOOT)
            self._qemu = None
        except subprocess.TimeoutExpired:
            self.cut()

    def run(
        self, command: str, *, timeout: float = 900, check: bool = True, feed: bytes | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command there, as root. Raises RuntimeError where `check` and it fails."""
        try:
            done = subprocess.run(
                [*self._ssh(), command], input=feed, capture_output=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired:
            if check:
                raise RuntimeError(f"{command}: not done in {timeout:g} s") from None
            return subprocess.CompletedProcess(command, 124, "", "")
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        if check and done.returncode != 0:
            raise RuntimeError(f"{command}: {done.returncode}\n{out[-3000:]}\n{err[-3000:]}")
        return subprocess.CompletedProcess(command, done.returncode, out, err)

    def begin(self, command: str, said: Path) -> subprocess.Popen[bytes]:
        """Begin a command there; each line that it says is on this host's disk at once."""
        with said.open("ab") as file:
            return subprocess.Popen(
                [*self._ssh(), command], stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
            )

    def send(self, source: Path, target: str) -> None:
        """Copy a file there."""
        self.run(f"cat > {shlex.quote(target)}", feed=source.read_bytes())

    @contextmanager
    def reached(self, port: int) -> Iterator[int]:
        """A port of this host that leads to `port` there."""
        here = _free_port()
        tunnel = subprocess.Popen(
            [*self._ssh(f"-L127.0.0.1:{here}:127.0.0.1:{port}"), "-N"],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            self._until(lambda: _answers(here), 60, "the tunnel")
            yield here
        finally:
            tunnel.kill()
            tunnel.wait()

    def _ssh(self, *more: str) -> list[str]:
        return [
            "ssh", "-i", str(self.image.key), "-p", str(self._door), "-o", "StrictHostKeyChecking=no",
            "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=10",
            "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=6", *more, "root@127.0.0.1",
        ]  # fmt: skip

    def _until(self, holds: Callable[[], bool], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            if self._qemu is not None and self._qemu.poll() is not None:
                raise RuntimeError(f"qemu ended; see {self.folder / 'console.log'}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{what}: not within {seconds:g} s; see {self.folder / 'console.log'}")
            time.sleep(0.5)


def _copy(disk: Path, to: Path) -> None:
    subprocess.run(["cp", "--reflink=auto", "--sparse=always", str(disk), str(to)], check=True)


def _answers(port: int) -> bool:
    with socket.socket() as attempt:
        attempt.settimeout(2)
        return attempt.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as attempt:
        attempt.bind(("127.0.0.1", 0))
        return int(attempt.getsockname()[1])
