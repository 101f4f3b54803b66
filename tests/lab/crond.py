"""The real cron with a crontab of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from servers import wait_for

_OWN = (
    "mount -t tmpfs none /var/spool/cron/crontabs && mount -t tmpfs none /run && "
    "touch -d @0 /var/spool/cron/crontabs && exec cron -f"
)
"""The folder is made old: cron reads it again when its time, in seconds, is another than at the last look,
and so would never see a crontab that comes within the second of the mount."""


@dataclass
class Cron:
    """A running cron; `techsapo` runs where its crontab is."""

    pid: int

    def enter(self, directory: Path) -> tuple[str, ...]:
        """What starts a command in `directory` where its crontab is."""
        return ("nsenter", "-t", str(self.pid), "-m", f"--wd={directory}", "--")

    def techsapo(self, directory: Path, *words: str) -> str:
        """What `techsapo …` says in `directory`, on both streams."""
        done = subprocess.run(
            [*self.enter(directory), sys.executable, "-m", "techsapo_ops", *words],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


@contextmanager
def cron() -> Iterator[Cron]:
    """Cron in a mount namespace of its own: nobody else's crontab, nobody else's pid file. Needs root."""
    daemon = subprocess.Popen(["unshare", "--mount", "sh", "-c", _OWN], stdin=subprocess.DEVNULL)
    try:
        wait_for(lambda: psutil.Process(daemon.pid).name() == "cron", what="cron")
        yield Cron(daemon.pid)
    finally:
        # Stopped, so that it starts no more; then what it started is waited for: whoever made the folder
        # that a job writes to is about to remove it.
        daemon.send_signal(signal.SIGSTOP)
        jobs = psutil.Process(daemon.pid).children(recursive=True)
        daemon.kill()
        daemon.wait(10)
        _, running = psutil.wait_procs(jobs, timeout=60)
        assert not running, f"cron's jobs still run: {running}"
