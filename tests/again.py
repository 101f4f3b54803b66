"""A second look at what failed in a whole run: what fails twice is broken, what fails once is unsteady.

Used by .ci/run alone (docs/decisions/0017-a-second-look.md); `make test` takes the first failure for one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

# What is broken breaks more files than a slip of a real server here and there; another run only costs time.
MOST = 4
"""Files with failures that are looked at again. One slip may fail many tests of a file, on the same stack."""


def failed_tests() -> list[str]:
    """Ids of the tests here that failed when last run, as pytest's own cache has them."""
    cache = Path(".pytest_cache/v/cache/lastfailed")
    if not cache.is_file():
        return []
    tests: dict[str, bool] = json.loads(cache.read_text(encoding="utf-8"))
    return sorted(test for test in tests if Path(test.partition("::")[0]).is_file())


def look(code: int) -> int:
    """Run the files in which tests failed once more, one by one; the exit code of both runs together.

    A file is the unit, for its tests may share a stack and build on each other. `code` is the first run's;
    one other than "tests failed", a failure that no test has, and more than `MOST` files stay as they are.
    """
    failed = failed_tests()
    files = list(dict.fromkeys(test.partition("::")[0] for test in failed))
    if code != pytest.ExitCode.TESTS_FAILED or not 0 < len(files) <= MOST:
        return code
    print(f"\n{len(failed)} failed; a second look at {' '.join(files)}\n", flush=True)
    again = int(pytest.main(files))
    for test in failed if again == pytest.ExitCode.OK else []:
        print(f"UNSTEADY, failed once and passed once, to be fixed: {test}", flush=True)
    return again


if __name__ == "__main__":
    sys.exit(look(int(sys.argv[1])))
