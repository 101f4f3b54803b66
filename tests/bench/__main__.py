"""`make bench`: each figure beside its baseline from the same run; exit 1 when a bound is missed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.bench import (
    analyses,
    backups,
    calibration,
    cascade,
    certificates,
    deep_verify,
    hostile_texts,
    idle_up,
    masking,
    providers,
    restores,
    scrape,
    stalls,
    startup,
    streams,
    theory,
    written_backups,
)  # fmt: skip
from tests.bench.served import Options, Tree

BENCHES = (
    startup,
    idle_up,
    providers,
    analyses,
    stalls,
    calibration,
    cascade,
    theory,
    hostile_texts,
    masking,
    scrape,
    streams,
    certificates,
    backups,
    restores,
    deep_verify,
    written_backups,
)
OF_SERVE = (analyses, stalls)
"""Those that measure `serve` of one tree or two."""


def main() -> int:
    """Run every bench, or those named on the command line, and print their tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="BENCH")
    parser.add_argument(
        "--beside", type=Path, metavar="TREE", help="another tree, measured in turn with this"
    )
    parser.add_argument("--python", help="what runs the servers, with the packages of each tree's .venv")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--share", type=float, default=1.0, help="of the questions of each load")
    given = parser.parse_args()
    trees = {"old": Tree(given.beside.resolve(), given.python)} if given.beside else {}
    options = Options({**trees, "new": Tree(python=given.python)}, given.turns, given.share)
    missed = 0
    for bench in BENCHES:
        if given.names and bench.__name__.rpartition(".")[2] not in given.names:
            continue
        print(f"\n{(bench.__doc__ or '').splitlines()[0]}")
        for row in bench.run(options) if bench in OF_SERVE else bench.run():
            print(row)
            missed += not row.ok
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
