"""Test files can be collected together: outside a package pytest knows one by its name alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parents[1]


def twice(folder: Path) -> list[str]:
    """Names that several test files below `folder` have, packages left out."""
    files = (path for path in folder.rglob("test_*.py") if not (path.parent / "__init__.py").exists())
    return sorted(name for name, count in Counter(path.name for path in files).items() if count > 1)


def test_no_two_test_files_outside_a_package_have_one_name() -> None:
    assert twice(TESTS) == []


def test_a_name_that_two_folders_have_is_found_and_one_in_a_package_is_not(tmp_path: Path) -> None:
    for name in ("a/test_one.py", "b/test_one.py", "a/test_two.py", "p/test_two.py", "p/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert twice(tmp_path) == ["test_one.py"]
