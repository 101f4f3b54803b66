"""How often the decisive evidence is in the pack: `python -m tests.incidents [FOLDER …] [--each]`.

Without folders: the recorded bundles, the unseen ones, and the hard ones that `hard.py` makes. Three
baselines run beside it.
`--each` prints the place of each decisive piece.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.incidents import baselines
from tests.incidents.hard import hard_cases
from tests.incidents.score import SIZES, Case, Method, cases_in, ours, places, tally

BUNDLES = Path(__file__).parent / "bundles"
UNSEEN = Path(__file__).parent / "unseen"
"""Opened once, by somebody who had not seen the code; nothing is tuned to them."""
TUNED = frozenset((Path(__file__).parent / "tuned.txt").read_text().split())
"""Recorded bundles with which weights were chosen. The others were only counted."""
METHODS: Mapping[str, Method] = {
    "pack": ours,
    "last 100 warnings": baselines.last_warnings,
    "newest change, largest z, rarest error": baselines.obvious,
    "everything": baselines.everything,
}


def report(name: str, cases: Sequence[Case], each: bool) -> None:
    """Print the shares by method and size."""
    print(f"\n{name}: {len(cases)} bundles with decisive evidence")
    print(f"{'':42}  size  in: all    any  10: all    any")
    for method_name, method in METHODS.items():
        for size in SIZES:
            print(f"{method_name:42} {size // 1000:2} KB    {tally(cases, method, size).line()}")
    for case in cases if each else ():
        found = [places(case, ours, size) for size in SIZES]
        print(f"  {case.name:42} {found[-1]}")


def main(arguments: Sequence[str]) -> None:
    """Report on the folders in `arguments`, or on all there is."""
    each = "--each" in arguments
    folders = [Path(argument) for argument in arguments if not argument.startswith("--")]
    for folder in folders or [BUNDLES, UNSEEN]:
        cases = cases_in(folder)
        opened_once = ", opened once, by somebody who had not seen the code"
        report(folder.name + (opened_once if folder.name == UNSEEN.name else ""), cases, each)
        tuned = [case for case in cases if case.name in TUNED]
        if tuned:
            report(f"{folder.name}, those that were looked at to tune", tuned, False)
            report(f"{folder.name}, the others", [case for case in cases if case.name not in TUNED], False)
    if not folders:
        report("made hard", hard_cases(), each)


if __name__ == "__main__":
    main(sys.argv[1:])
