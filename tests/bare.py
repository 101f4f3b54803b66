"""`make test` on a bare Debian, as an ordinary user; needs root and debootstrap.

    python -m tests.bare bookworm                # Debian 12, with README's packages alone
    python -m tests.bare trixie --servers        # Debian 13, with what the core labs run
    python -m tests.bare trixie --run "make test WORKERS=1"

The system is made below dist/bare, from the mirrors of this host, and removed at the end. The tests are those
of the last commit.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.own_debian import apt_as_here, first_mirror

FOLDER = Path("dist/bare").absolute()
SUITES = ("bookworm", "trixie")
README = ("git", "make", "python3", "python3-venv", "ca-certificates")
"""What README says that a bare Debian needs first; git's own downloads bring the certificates elsewhere."""
SERVERS = (
    "redis-server", "mariadb-server", "nginx", "pebble", "prometheus", "prometheus-alertmanager",
)  # fmt: skip
USER = "somebody"
_INSIDE = """
mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" /usr/bin/env -i "$@"
"""


def make(suite: str, root: Path, packages: tuple[str, ...]) -> None:
    """A Debian below `root` with these packages, a user, and a clone of the last commit in its home."""
    subprocess.run(["debootstrap", "--variant=minbase", suite, str(root), *first_mirror()], check=True)
    apt_as_here(root)
    apt = root / "etc/apt"
    for path in (*apt.rglob("*.list"), *apt.rglob("*.sources")):
        path.write_text(_of_suite(path.read_text(), suite))
    (root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
    (root / "usr/sbin/policy-rc.d").chmod(0o755)
    for name in ("etc/resolv.conf", "etc/hosts", "etc/pip.conf"):
        if Path("/", name).exists():
            shutil.copyfile(Path("/", name), root / name)
    inside(root, "apt-get update -q")
    inside(root, f"apt-get install -y -q --no-install-recommends {' '.join(packages)}")
    certificates = Path("/etc/ssl/certs/ca-certificates.crt")
    if certificates.exists():
        shutil.copyfile(certificates, root / certificates.relative_to("/"))
    inside(root, f"useradd --create-home --shell /bin/bash {USER}")
    clone = root / "home" / USER / "techsapo-ops"
    subprocess.run(["git", "clone", "--quiet", ".", str(clone)], check=True)
    inside(root, f"chown -R {USER}: /home/{USER}")


def _of_suite(sources: str, suite: str) -> str:
    """The apt sources of this host, for another release and by that one's own keys."""
    for other in SUITES:
        sources = sources.replace(other, suite)
    return "".join(line for line in sources.splitlines(True) if not line.startswith("Signed-By:"))


def inside(root: Path, command: str, user: str = "root") -> int:
    """Run a shell command in the system below `root`; exit code, which for root's must be 0."""
    home = "/root" if user == "root" else f"/home/{user}"
    passed = [f"{name}={value}" for name, value in os.environ.items() if name.lower().endswith("_proxy")]
    words = [f"HOME={home}", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
             "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", *passed]  # fmt: skip
    words += ["su", user, "-c", f"cd {home}; {command}"] if user != "root" else ["sh", "-c", command]
    own = ["unshare", "--mount", "--pid", "--fork", "sh", "-c", _INSIDE, str(root), *words]
    return subprocess.run(own, check=user == "root").returncode


def main() -> int:
    """Make it, run the tests in it, and say how long they took."""
    parser = argparse.ArgumentParser(prog="python -m tests.bare")
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("--servers", action="store_true", help="install what the core labs run")
    parser.add_argument("--run", default="make test", help="what is run in the clone (make test)")
    asked = parser.parse_args()
    root = FOLDER / asked.suite
    if root.exists():
        sys.exit(f"{root} is there: another run, or one that was killed; remove it")
    root.mkdir(parents=True)
    try:
        make(asked.suite, root, (*README, *(SERVERS if asked.servers else ())))
        began = time.monotonic()
        code = inside(root, f"cd techsapo-ops && {asked.run}", USER)
        took = time.monotonic() - began
        print(f"{asked.suite}: {asked.run} ended with {code} after {took:.0f} s")
    finally:
        shutil.rmtree(root)
    return code


if __name__ == "__main__":
    sys.exit(main())
