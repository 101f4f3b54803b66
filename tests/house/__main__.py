"""`python -m tests.house`: what each counter counts beside its ceiling and goal.

With a counter's name: the places. With --lower: set the ceilings that are too high to what is counted.
"""

from __future__ import annotations

import sys

from tests.house.ratchets import COUNTERS, limits, lower
from tests.house.source import package


def main(words: list[str]) -> int:
    """Print, and with --lower write; exit 1 for a count above its ceiling."""
    wanted = [word for word in words if word != "--lower"]
    if unknown := [word for word in wanted if word not in COUNTERS]:
        print(f"no counter is called {', '.join(unknown)}; there are {', '.join(COUNTERS)}", file=sys.stderr)
        return 2
    for name in wanted:
        print(*COUNTERS[name](package()), sep="\n")
    if wanted:
        return 0
    counts = {name: len(list(counter(package()))) for name, counter in COUNTERS.items()}
    if "--lower" in words and (lowered := lower(counts)):
        print("lowered", ", ".join(lowered))
    known = limits()
    print(f"{'':20} {'count':>6} {'ceiling':>8} {'goal':>5}")
    for name, count in counts.items():
        print(f"{name:20} {count:6} {known[name].ceiling:8} {known[name].goal:5}")
    return int(any(counts[name] > limit.ceiling for name, limit in known.items()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
