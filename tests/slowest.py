"""How long tests take: noted by each run, listed by `make slowest`, and what the order of the files rests on.

`python -m tests.slowest --write` puts what the last whole run took into tests/cases/seconds.json.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

TABLE = Path(__file__).parent / "cases" / "seconds.json"
KEPT = "techsapo/seconds"
LONG = 10
"""Seconds from which on a file is in the table."""
SHOWN = 20
OF_A_RUN = 10
"""Files that a run of more than `LONG` seconds names at its end."""


@cache
def _table() -> Mapping[str, float]:
    known: dict[str, float] = json.loads(TABLE.read_text(encoding="utf-8"))
    return known


def expected(file: str) -> float:
    """Seconds that a test file took when the table was written, and a guess for one that is not in it."""
    return _table().get(file, LONG if file.startswith(("tests/lab/", "tests/core/", "tests/e2e/")) else 1)


def lanes(files: Iterable[str], count: int) -> dict[str, int]:
    """A lane below `count` for each file, so that all lanes take about as long."""
    ends = [0.0] * count
    found = {}
    for file in sorted(files, key=lambda f: (-expected(f), f)):
        found[file] = lane = ends.index(min(ends))
        ends[lane] += expected(file)
    return found


class Stopwatch:
    """A plugin of pytest: notes the seconds of each test, with its fixtures, in pytest's own cache.

    At the end of a longer run it says how long that took, which files were slowest, and which set-up, call or
    clean-up of one test was the longest.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.began = time.monotonic()
        self.seconds: Counter[str] = Counter()
        self.longest = (0.0, "")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration  # type: ignore[assignment] # seconds, not counts
        self.longest = max(self.longest, (report.duration, f"{report.when} of {report.nodeid}"))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        took = time.monotonic() - self.began
        if took < LONG or not self.seconds:
            return
        terminalreporter.section(f"{len(self.seconds)} tests in {int(took) // 60}:{int(took) % 60:02}")
        for file, seconds in of_files(self.seconds).most_common(OF_A_RUN):
            terminalreporter.write_line(f"{seconds:8.1f} s  {file}")
        terminalreporter.write_line(
            f"{self.longest[0]:8.1f} s  the longest set-up, call or clean-up: {self.longest[1]}"
        )

    def pytest_sessionfinish(self) -> None:
        cache = getattr(self.config, "cache", None)
        if cache is not None:  # `-p no:cacheprovider` has none
            known: dict[str, Any] = cache.get(KEPT, {})
            again = of_files(self.seconds)
            of_others = {test: took for test, took in known.items() if test.partition("::")[0] not in again}
            cache.set(KEPT, {**of_others, **self.seconds})


def noted() -> dict[str, float]:
    """Seconds of each test here in the last run of its file."""
    path = Path(".pytest_cache/v") / KEPT
    if not path.is_file():
        return {}
    tests: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return {test: seconds for test, seconds in tests.items() if Path(test.partition("::")[0]).is_file()}


def of_files(tests: Mapping[str, float]) -> Counter[str]:
    """Seconds of whole files."""
    files: Counter[str] = Counter()
    for test, seconds in tests.items():
        files[test.partition("::")[0]] += seconds  # type: ignore[assignment] # seconds, not counts
    return files


def main(*options: str) -> None:
    """Print the slowest tests and files of the last run, or write the table of files."""
    tests = noted()
    if not tests:
        sys.exit("no run of the tests is noted here; `make test` notes one")
    files = of_files(tests)
    if options == ("--write",):
        long = {file: round(seconds) for file, seconds in sorted(files.items()) if seconds >= LONG}
        TABLE.write_text(json.dumps(long, indent=1) + "\n", encoding="utf-8")
        return
    for what, found in (("tests", Counter(tests)), ("files", files)):
        print(f"{sum(found.values()):8.1f} s, all {what} one after another")
        for name, seconds in found.most_common(SHOWN):
            print(f"{seconds:8.1f} s  {name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
