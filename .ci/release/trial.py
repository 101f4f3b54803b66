"""What was built, installed into a clean environment outside the repository, and used there."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import urllib.request
from pathlib import Path

from release.build import ReleaseError, run

PYTHONS = ("3.11", "3.13")
"""The oldest that the package takes, and that of Debian 13."""


def pythons(wanted: tuple[str, ...] = PYTHONS) -> dict[str, Path | None]:
    """For each version a Python of this host that can make an environment; None where there is none."""
    return {version: _python(version) for version in wanted}


def _python(version: str) -> Path | None:
    here = [
        sys.base_prefix + f"/bin/python{version}",
        f"/usr/bin/python{version}",
        f"/usr/local/bin/python{version}",
    ]
    for program in [*here, shutil.which(f"python{version}")]:
        if program is None or not os.access(program, os.X_OK):
            continue
        try:
            ask = "import ensurepip, venv, sys; print(*sys.version_info[:2], sep='.')"
            if run([program, "-c", ask], Path("/"), timeout=60).strip() == version:
                return Path(program)
        except ReleaseError:  # a Python without its standard library, or a name that only pretends
            continue
    return None


def environment(python: Path, where: Path, *packages: str) -> Path:
    """A new environment in `where` with `packages` by pip's own configuration; its Python."""
    run([str(python), "-m", "venv", str(where)], where.parent)
    there = where / "bin" / "python"
    run(
        [str(there), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *packages],
        where.parent,
    )
    run([str(there), "-m", "pip", "check"], where.parent)
    return there


def floor(program: Path, stack: Path, pages: bool = True) -> list[str]:
    """Use `program` in the empty folder `stack`, from `init` to `down`, where only Python is to be found.

    `pages` also asks for a part of the help that only `make docs` makes. What was run is returned. Raises
    ReleaseError; the stack is down in any case.
    """
    port, done = free_port(), []
    home = stack.parent / f"{stack.name}-home"
    home.mkdir()
    bare = {"PATH": "", "HOME": str(home), "LANG": "C.UTF-8"}

    def techsapo(*words: str) -> str:
        said = run([str(program), *words], stack, bare, timeout=300)
        done.append(" ".join(words))
        return said

    techsapo("init", "--alerts", "none")
    with (stack / "techsapo.yaml").open("a", encoding="utf-8") as spec:
        spec.write(f"\napp: {{port: {port}}}\n")
    techsapo("validate")
    techsapo("config", "generate")
    try:
        techsapo("up", "--yes")
        told = json.loads(techsapo("health", "--json"))
        if told["status"] != "healthy":
            raise ReleaseError(f"the stack is {told['status']}: {json.dumps(told)}")
        if json.loads(techsapo("ask", "Dockerコンテナが起動しない", "--json"))["simulated"] is not True:
            raise ReleaseError("the answer does not say that it is simulated")
        if pages:
            address = f"http://127.0.0.1:{port}/help/en/search.json"
            with urllib.request.urlopen(address, timeout=60) as response:
                json.loads(response.read())
    finally:
        techsapo("down", "--yes")
    return done


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
