"""The second look of .ci/run, on small suites of its own: it forgives what failed once, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from rows import each_row

ONCE = """
from pathlib import Path

def test_{name}():
    before = Path(__file__).with_suffix(".ran")
    first = not before.exists()
    before.touch()
    assert not first

def test_{name}_well():
    assert True
"""
ALWAYS = "def test_{name}():\n    assert False\n"


def _run(repository: Path, folder: Path, **files: str) -> tuple[int, int, str]:
    """Exit codes of a whole run and of the second look after it, and what the latter printed."""
    for name, text in files.items():
        (folder / f"test_{name}.py").write_text(text.replace("{name}", name), encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    bare = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # most of pytest's start is other plugins
    first = subprocess.run(
        [sys.executable, "-m", "pytest", "-q"], cwd=folder, env=bare, capture_output=True, check=False
    )
    look = [sys.executable, str(repository / "tests" / "again.py"), str(first.returncode)]
    second = subprocess.run(look, cwd=folder, env=bare, capture_output=True, text=True, check=False)
    return first.returncode, second.returncode, second.stdout


def test_failed_once_is_named_and_forgiven(repository: Path, tmp_path: Path) -> None:
    first, second, said = _run(repository, tmp_path, once=ONCE, other=ONCE.replace("not first", "True"))
    assert (first, second) == (1, 0)
    assert "UNSTEADY, failed once and passed once, to be fixed: test_once.py::test_once\n" in said
    assert "2 passed" in said, "its file whole, and no other"


def test_failed_twice_is_broken(repository: Path, tmp_path: Path) -> None:
    first, second, said = _run(repository, tmp_path, once=ONCE, always=ALWAYS)
    assert (first, second) == (1, 1)
    assert "UNSTEADY" not in said


@each_row("text", [ONCE, "import nothing_of_this_name\n"])
def test_many_failures_and_other_ends_are_final(repository: Path, tmp_path: Path, text: str) -> None:
    many = {f"t{number}": text for number in range(5)}
    first, second, said = _run(repository, tmp_path, **many)
    assert first == second != 0
    assert said == ""
