"""`make release [PYTHONS="3.13"]`: build, install elsewhere, use it there, and only then write dist/.

Nothing is uploaded. dist/ stays as it is where anything fails.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from release import trial
from release.build import ROOT, ReleaseError, again, build, checksums, date_of, digest, run, uncommitted

DIST = ROOT / "dist"
SBOM = "techsapo-ops.cdx.json"


def main(words: list[str]) -> int:
    """Make a release for the Pythons of `words`; without any, for each that there has to be."""
    try:
        _release(tuple(words) or trial.PYTHONS)
    except ReleaseError as error:
        print(f"no release: {error}", file=sys.stderr)
        return 1
    return 0


def _release(wanted: tuple[str, ...]) -> None:
    found = trial.pythons(wanted)
    if missing := [version for version, program in found.items() if program is None]:
        there = " ".join(version for version in wanted if version not in missing)
        raise ReleaseError(
            f"Python {' and '.join(missing)}, with its venv module, is not on this host"
            + (f'; for the others alone: make release PYTHONS="{there}"' if there else "")
        )
    if changed := uncommitted():
        raise ReleaseError(f"not committed: {', '.join(changed[:5])}; a release is one commit")
    if not (ROOT / "techsapo_ops" / "_help.zip").is_file() or not (ROOT / "build" / "man").is_dir():
        raise ReleaseError("the pages under /help or the man pages are missing: make docs")
    with tempfile.TemporaryDirectory(prefix="techsapo-release-") as made:
        work = Path(made)
        files = build(work / "dist")
        source, wheel = (next(p for p in files if p.suffix == end) for end in (".gz", ".whl"))
        print(f"built {wheel.name} and {source.name}, every file in them of {date_of()}")
        (work / "again").mkdir()
        if digest(again(source, work / "again")) != digest(wheel):
            raise ReleaseError("the source archive makes another wheel than the checkout")
        print("the source archive makes the same wheel, byte by byte")
        run([sys.executable, "-m", "twine", "check", "--strict", str(source), str(wheel)], work)
        print("metadata and long description are what an index takes")
        for version, program in found.items():
            if program is not None:
                _try(version, program, work, wheel, source)
        _publish(files)


def _try(version: str, program: Path, work: Path, wheel: Path, source: Path) -> None:
    for kind, what in (("wheel", wheel), ("sdist", source)):
        stack = work / f"stack-{kind}-{version}"
        stack.mkdir()
        there = trial.environment(program, work / f"venv-{kind}-{version}", str(what))
        done = trial.floor(there.parent / "techsapo", stack)
        print(f"Python {version}, {kind}: {', '.join(word.partition(' ')[0] for word in done)}")


def _publish(files: list[Path]) -> None:
    """Put the files into dist/, with the list of parts and the checksums of all three beside."""
    DIST.mkdir(exist_ok=True)
    run(["make", "--silent", "sbom", f"SBOM=dist/{SBOM}"], ROOT)
    for path in files:
        partial = DIST / f"{path.name}.partial"
        partial.write_bytes(path.read_bytes())
        partial.replace(DIST / path.name)
    ours = [DIST / path.name for path in files] + [DIST / SBOM]
    (DIST / "SHA256SUMS").write_text(checksums(ours), encoding="utf-8")
    for path in [*ours, DIST / "SHA256SUMS"]:
        print(f"wrote dist/{path.name}, {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
