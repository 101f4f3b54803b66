"""Long files."""

from __future__ import annotations

from collections.abc import Iterator

from tests.house.source import Package, Place

LINES = 400


def long_files(package: Package) -> Iterator[Place]:
    """Files of more than 400 lines."""
    for module in package:
        count = len(module.text.splitlines())
        if count > LINES:
            yield Place(module.path, count, f"{count} lines")
