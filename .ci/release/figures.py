"""`make figures`: what an installation takes here, written into docs/measurements.md."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from release import trial
from release.build import ROOT, build, run

PAGE = ROOT / "docs" / "measurements.md"
HEADING = "## Installing"


def main() -> None:
    """Measure, and put the table in place of the last one."""
    with tempfile.TemporaryDirectory(prefix="techsapo-figures-") as made:
        rows = _rows(Path(made))
    day, load = f"{datetime.now(UTC):%Y-%m-%d}", os.getloadavg()[2]
    text = (
        f"{HEADING}\n\nFor [decision 2](decisions/0002-libraries-and-releases.md): `make figures`, {day}, "
        f"Python {platform.python_version()}, {os.cpu_count()} processors, load {load:.0f} over the last "
        "quarter of an hour: sizes\nhold anywhere, seconds do not. Answers are simulated, no part of the "
        "system is there, and packages come from an index,\nwithout pip's cache.\n\n"
        "| What | Figure |\n|---|---|\n" + "".join(f"| {what} | {figure} |\n" for what, figure in rows)
    )
    page = put(PAGE.read_text(encoding="utf-8"), text)
    PAGE.write_text(page, encoding="utf-8")
    print(text)


def put(page: str, section: str) -> str:
    """`page` with `section`, which begins with HEADING, in place of the one of that name, else at the end."""
    before, found, after = page.partition(f"{HEADING}\n")
    if not found:
        return f"{page.rstrip()}\n\n{section}"
    rest = after.partition("\n## ")
    return before + section + (f"\n## {rest[2]}" if rest[1] else "")


def _rows(work: Path) -> list[tuple[str, str]]:
    source, wheel = sorted(build(work / "dist"), key=lambda path: path.suffix)
    rows = [
        ("Wheel", f"{wheel.stat().st_size / 1e6:.1f} MB"),
        ("Source archive", f"{source.stat().st_size / 1e6:.1f} MB"),
    ]
    clone, home = work / "clone", work / "stack"
    home.mkdir()
    bare = {"PATH": "", "HOME": str(home), "LANG": "C.UTF-8"}
    began = time.monotonic()

    def lap(what: str) -> None:
        nonlocal began
        now = time.monotonic()
        rows.append((what, f"{now - began:.0f} s"))
        began = now

    start = began
    run(["git", "clone", "--quiet", str(ROOT), str(clone)], work)
    lap("`git clone`, from this disk")
    ours = [f"PYTHON={sys.base_prefix}/bin/python3", f"BINDIR={work / 'bin'}"]
    run(["make", "--silent", "install", *ours], clone, {**os.environ, "PIP_NO_CACHE_DIR": "1"})
    lap("`make install`")
    program = clone / ".venv" / "bin" / "techsapo"
    (home / "techsapo.yaml").write_text(f"project: figures\napp: {{port: {trial.free_port()}}}\n")
    try:
        run([str(program), "up", "--yes"], home, bare)
        lap("`techsapo up`")
        run([str(program), "ask", "Dockerコンテナが起動しない"], home, bare)
        lap("`techsapo ask`")
        rows.append(("From `git clone` to the first answer", f"**{time.monotonic() - start:.0f} s**"))
    finally:
        run([str(program), "down", "--yes"], home, bare)
    (site,) = (clone / ".venv" / "lib").glob("python*/site-packages")
    packages = [
        path for path in site.glob("*.dist-info") if not path.name.startswith(("pip-", "setuptools-"))
    ]
    rows.insert(2, ("Packages installed, with ours", str(len(packages))))
    rows.insert(3, ("They take, with the environment and compiled", f"{_megabytes(clone / '.venv'):.0f} MB"))
    return rows


def _megabytes(folder: Path) -> float:
    """What the files of a folder take; a link takes nothing."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file() and not p.is_symlink()) / 1e6


if __name__ == "__main__":
    main()
