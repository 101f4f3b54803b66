"""`make bench`: each figure beside its baseline from the same run; exit 1 when a bound is missed."""

from __future__ import annotations

import sys

from tests.bench import providers, startup

BENCHES = (startup, providers)


def main() -> int:
    """Run every bench and print its table."""
    missed = 0
    for bench in BENCHES:
        print(f"\n{(bench.__doc__ or '').splitlines()[0]}")
        for row in bench.run():
            print(row)
            missed += not row.ok
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
