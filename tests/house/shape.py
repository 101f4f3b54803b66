"""Long files, docstrings that send the reader elsewhere, and names that several classes share."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

from tests.house.source import Module, Package, Place

LINES = 400
MUST_BE_ONE = frozenset({"Standing", "Record", "Part", "Entry", "Finding"})
"""Names that stood for several things when issue 13 was written."""


def long_files(package: Package) -> Iterator[Place]:
    """Files of more than 400 lines."""
    for module in package:
        count = len(module.text.splitlines())
        if count > LINES:
            yield Place(module.path, count, f"{count} lines")


def see_docstrings(package: Package) -> Iterator[Place]:
    """Docstrings that only send the reader to another one; `@override` says it to the tools too."""
    for module in package:
        for node in module.docstrings:
            if re.match(r"\s*See\s+[`A-Z_]", str(node.value)):
                yield module.place(node, str(node.value).strip().splitlines()[0])


def named_alike(package: Package) -> Iterator[Place]:
    """Classes whose name another module's class has too; a leading underscore makes no other name.

    No ratchet: a model of the spec and what is made of it may share a name. `python -m tests.house
    named_alike` lists them.
    """
    found: dict[str, list[tuple[Module, ast.ClassDef]]] = defaultdict(list)
    for module in package:
        for node in module.nodes:
            if isinstance(node, ast.ClassDef):
                found[node.name.lstrip("_")].append((module, node))
    for name, classes in sorted(found.items()):
        if len({module.path for module, _ in classes}) > 1:
            for module, node in classes:
                yield module.place(node, f"class {node.name}, one of {len(classes)} called {name}")


def unclear_names(package: Package) -> Iterator[Place]:
    """Those of `named_alike` that issue 13 names."""
    for place in named_alike(package):
        if place.what.rpartition(" ")[2] in MUST_BE_ONE:
            yield place
