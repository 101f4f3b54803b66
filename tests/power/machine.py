"""A machine with a power cord: a Debian in namespaces, on a disk that loses what is not flushed.

systemd-nspawn boots it from an ext4 on `disk.py`, so that it runs as fast as this host and needs no KVM. What
differs from a real machine is the kernel, which is this host's and survives the cut; from that moment none of
its writes reaches the disk.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DISK = Path(__file__).with_name("disk.py")
BOOT = 60.0
"""Seconds that a boot may take beside other work."""
_ENVIRONMENT = ("HOME=/root", "LANG=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin")
_PIP = ("PIP_INDEX_URL", "PIP_CERT")


class Machine:
    """One machine; its folder has the disk's image and what the machine says as it boots, `console.log`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.image = folder / "disk.img"
        self.lost: dict[str, Any] = {}
        """What the disk says of the last cut."""
        self._root = folder / "root"
        self._device = folder / "device"
        self._name = f"power-{os.getpid()}"
        self._disk: subprocess.Popen[bytes] | None = None
        self._loop = ""
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._init = 0
        for path in (self._root, self._device):
            path.mkdir(parents=True, exist_ok=True)

    def fresh(self, like: Path) -> None:
        """Give the machine that is off a disk like `like`; only blocks in use are copied."""
        copied(like, self.image)

    def boot(self) -> float:
        """Switch it on; seconds until systemd answers. It may still be starting the stack."""
        began = time.monotonic()
        log = (self.folder / "console.log").open("ab")
        self._disk = subprocess.Popen(
            ["/usr/bin/python3", str(DISK), str(self.image), str(self._device)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        self._until((self._device / "disk").exists, "the disk")
        self._loop = _done("losetup", "--find", "--show", str(self._device / "disk")).strip()
        # As Debian's boot does: replays the journal; 1 says that it mended something.
        checked = subprocess.run(["e2fsck", "-p", self._loop], stdout=log, stderr=log, check=False)
        if checked.returncode > 1:
            raise RuntimeError(f"e2fsck: {checked.returncode}; see {self.folder / 'console.log'}")
        _done("mount", "-o", "commit=300", self._loop, str(self._root))
        self._nspawn = subprocess.Popen(
            [
                "systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--private-network",
                "--link-journal=no", "--resolv-conf=off", f"--machine={self._name}",
                f"--directory={self._root}",
            ],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
        )  # fmt: skip
        log.close()
        self._until(self._has_init, "systemd")
        states = {"starting", "running", "degraded"}
        state = "systemctl is-system-running"
        self._until(lambda: self.run(state, check=False).stdout.strip() in states, "systemd")
        return time.monotonic() - began

    def cut(self) -> None:
        """Pull the plug: what the disk was not asked to flush is gone, but for what its cache has written."""
        assert self._disk is not None
        assert self._nspawn is not None
        self._disk.send_signal(signal.SIGUSR1)
        (self._device / "disk").stat()  # the operation before which it happens
        os.kill(self._init, signal.SIGKILL)
        self._nspawn.kill()
        self._detach()
        self.lost = json.loads(Path(f"{self.image}.cut").read_text())

    def off(self) -> None:
        """Switch it off as one should; pull the plug where that takes too long."""
        if self._nspawn is None:
            if self._disk is not None:
                self._detach()
            return
        self.run("systemctl poweroff --no-block", check=False, timeout=10)
        try:
            self._nspawn.wait(BOOT)
        except subprocess.TimeoutExpired:
            self.cut()
        else:
            self._detach()

    def run(
        self,
        command: str,
        *,
        timeout: float = 300,
        check: bool = True,
        feed: bytes | None = None,
        network: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command there, as root; with `network` in that of this host, for installing.

        Raises RuntimeError where `check` and it fails.
        """
        argv = self._inside(command, network=network)
        try:
            done = subprocess.run(argv, input=feed, capture_output=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired:
            if check:
                raise RuntimeError(f"{command}: not done in {timeout:g} s") from None
            return subprocess.CompletedProcess(command, 124, "", "")
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        if check and done.returncode != 0:
            raise RuntimeError(f"{command}: {done.returncode}\n{out[-3000:]}\n{err[-3000:]}")
        return subprocess.CompletedProcess(command, done.returncode, out, err)

    def begin(self, command: str, said: Path) -> subprocess.Popen[bytes]:
        """Begin a command there; what it says is in a file of this host's."""
        with said.open("ab") as file:
            return subprocess.Popen(
                self._inside(command), stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
            )

    @contextmanager
    def reached(self, port: int) -> Iterator[int]:
        """A port of this host that leads to `port` there."""
        with socket.socket() as attempt:
            attempt.bind(("127.0.0.1", 0))
            here = int(attempt.getsockname()[1])
        inside = f"EXEC:nsenter --target {self._init} --net socat - TCP\\:127.0.0.1\\:{port}"
        tunnel = subprocess.Popen(
            ["socat", f"TCP-LISTEN:{here},bind=127.0.0.1,fork,reuseaddr", inside],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield here
        finally:
            tunnel.terminate()
            tunnel.wait()

    def _inside(self, command: str, *, network: bool = False) -> list[str]:
        spaces = ["--mount", "--uts", "--ipc", "--pid", "--cgroup", *([] if network else ["--net"])]
        pip = [f"{name}={os.environ[name]}" for name in _PIP if name in os.environ]
        return [
            "nsenter", "--target", str(self._init), *spaces, "--root", "--wd",
            "env", "-i", *_ENVIRONMENT, *pip, "sh", "-c", command,
        ]  # fmt: skip

    def _has_init(self) -> bool:
        """Whether nspawn's child is there that is process 1 of a PID namespace; notes it."""
        assert self._nspawn is not None
        for child in Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text().split():
            numbers = next(line for line in _status(child) if line.startswith("NSpid:")).split()
            if len(numbers) > 2 and numbers[-1] == "1":
                self._init = int(child)
        return bool(self._init)

    def _detach(self) -> None:
        """Take the disk out of the machine that is off."""
        assert self._disk is not None
        if self._nspawn is not None:
            self._nspawn.wait()
        self._nspawn, self._init = None, 0
        for kind in ("unix-export", "propagate"):  # what a killed nspawn leaves, and the next one refuses
            left = Path("/run/systemd/nspawn") / kind / self._name
            while left.is_mount():
                _done("umount", str(left))
            if left.exists():
                left.rmdir()
        if self._root.is_mount():
            self._until(lambda: _worked("umount", str(self._root)), "the end of all that uses the disk")
        if self._loop:
            _done("losetup", "--detach", self._loop)
            self._loop = ""
        self._until(lambda: _worked("umount", str(self._device)), "the end of all that uses the device")
        self._disk.wait()
        self._disk = None

    def _until(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + BOOT
        while not holds():
            if self._nspawn is not None and self._nspawn.poll() is not None:
                raise RuntimeError(f"systemd-nspawn ended; see {self.folder / 'console.log'}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{what}: not within {BOOT:g} s; see {self.folder / 'console.log'}")
            time.sleep(0.1)


def copied(image: Path, to: Path) -> None:
    """Copy a disk of a machine that is off."""
    _done("cp", "--reflink=auto", "--sparse=always", str(image), str(to))


def _status(process: str) -> list[str]:
    try:
        return Path(f"/proc/{process}/status").read_text().splitlines()
    except FileNotFoundError:  # it has ended
        return ["NSpid:"]


def _worked(*argv: str) -> bool:
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def _done(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise RuntimeError(f"{shlex.join(argv)}: {done.stderr}")
    return done.stdout
