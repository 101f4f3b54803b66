"""`make bench`: each figure beside its baseline from the same run; exit 1 when a bound is missed."""

from __future__ import annotations

import sys

from tests.bench import (
    analyses,
    backups,
    calibration,
    certificates,
    deep_verify,
    hostile_texts,
    idle_up,
    masking,
    providers,
    restores,
    scrape,
    startup,
    streams,
    theory,
    written_backups,
)  # fmt: skip

BENCHES = (
    startup,
    idle_up,
    providers,
    analyses,
    calibration,
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


def main() -> int:
    """Run every bench, or those named on the command line, and print their tables."""
    missed, wanted = 0, sys.argv[1:]
    for bench in BENCHES:
        if wanted and bench.__name__.rpartition(".")[2] not in wanted:
            continue
        print(f"\n{(bench.__doc__ or '').splitlines()[0]}")
        for row in bench.run():
            print(row)
            missed += not row.ok
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
