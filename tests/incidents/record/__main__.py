"""Cause real faults with real servers, and record a bundle of each.

    python -m tests.incidents.record [NAME…] [--out FOLDER] [--jobs COUNT]

As root, on Linux with control groups of version 1, loop devices and Debian's packages of `make lab` and
libfaketime. Each recording runs in namespaces of its own and takes some four minutes, most of which it waits;
COUNT are recorded at once. A bundle that exists is kept.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.incidents.record.scenario import SCENARIOS
from tests.incidents.record.servers import make_template
from tests.incidents.record.world import say

_START = threading.Lock()
_NAMESPACES = ("unshare", "--fork", "--kill-child", "--mount-proc", *["-m", "-n", "-u", "-i", "-p"])
BUSY = 1.5 * (os.cpu_count() or 1)


def record(name: str, out: Path) -> bool:
    """Record one scenario; whether that worked."""
    with _START:  # not all at once, and not on a busy machine
        for _ in range(3):
            if os.getloadavg()[0] < BUSY:
                break
            time.sleep(5)
        time.sleep(8)
    work = Path(tempfile.mkdtemp(prefix="record-"))
    log = work.with_suffix(".log")
    try:
        with log.open("wb") as file:
            done = subprocess.run(
                [*_NAMESPACES, sys.executable, "-m", f"{__package__}.inside", name, out / name, work],
                stdout=file, stderr=file, env={**os.environ, "RECORD_ID": secrets.token_hex(4)}, check=False,
            )  # fmt: skip
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if done.returncode:
        say(f"{name}: not recorded, see {log}")
        return False
    size = sum(file.stat().st_size for file in (out / name).iterdir())
    say(f"{name}: {size // 1000} KB")
    log.unlink()
    return True


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "bundles")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    if unknown := set(given.names) - set(SCENARIOS):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    make_template()
    given.out.mkdir(parents=True, exist_ok=True)
    names = [name for name in given.names or SCENARIOS if not (given.out / name).exists()]
    with ThreadPoolExecutor(given.jobs) as pool:
        outcomes = list(pool.map(lambda name: record(name, given.out.resolve()), names))
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
