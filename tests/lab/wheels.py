"""The packages of the lock for this Python, fetched once on this machine.

With an index pip looks at all files of each package, some 90,000, to find the 80 that the lock names: twenty
seconds of a processor. That an index has them, the environment of the tests proves, made from the same lock.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys

from docker_lab import LOCK, cache


def pip_without_index() -> dict[str, str]:
    """The environment of a pip that finds what the lock names, by the same hashes, in a folder."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = cache() / f"wheels-here-{version}-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "wheels.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            argv = [
                sys.executable,
                "-m",
                "pip",
                "--disable-pip-version-check",
                "download",
                "--quiet",
                "--no-deps",
            ]
            done = subprocess.run(
                [*argv, "--no-deps", "--require-hashes", "-r", str(LOCK), "-d", str(folder)],
                capture_output=True, text=True, check=False, env=os.environ,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr[-2000:]
            (folder / "complete").touch()
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)}
