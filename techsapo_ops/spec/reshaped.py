"""A spec's data on its way to the model: overlays merged, wrong values out, and where each value stood."""

from __future__ import annotations

from typing import Any

from techsapo_ops.spec.problems import START, Mark, Path
from techsapo_ops.spec.source import Document

NULL_IS_A_VALUE = (("schedule",), ("monitoring", "exporters"))
"""Sections in which null means off, so that an overlay's null is kept and not taken as removal."""


class Locator:
    """Where the values of the merged spec stand in the file."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._origin: dict[Path, Path] = {}

    def moved(self, merged: Path, source: Path) -> None:
        """Record that `merged` and all below it came from `source`."""
        self._origin[merged] = source

    def source(self, path: Path) -> Path:
        """Path in the file of what is at `path` in the merged spec."""
        for cut in range(len(path), 0, -1):
            origin = self._origin.get(path[:cut])
            if origin is not None:
                return origin + path[cut:]
        return path

    def written(self, path: Path) -> bool:
        """Whether the file gives the value at `path`, rather than a default."""
        return self.source(path) in self._document.values

    def value(self, path: Path) -> Mark:
        """Position of the value, or of the nearest key above it that is written."""
        source = self.source(path)
        return self._document.values[source] if source in self._document.values else self.key(path)

    def key(self, path: Path) -> Mark:
        """Position of the key, or of the nearest key above it that is written."""
        source = self.source(path)
        while source:
            if source in self._document.keys:
                return self._document.keys[source]
            if source in self._document.values:
                return self._document.values[source]
            source = source[:-1]
        return self._document.values.get((), START)


def merge(base: dict[str, Any], overlay: dict[str, Any], at: Path, locator: Locator) -> dict[str, Any]:
    """`base` with `overlay` (which stands at path `at` in the file) merged over it.

    Mappings are merged key by key, everything else is replaced, null removes the key. A mapping whose
    `kind` changes is replaced whole, and `X` takes the place of `X_file` and the other way round.
    """
    return _merge(base, overlay, (), at, locator)


def _merge(
    base: dict[str, Any], overlay: dict[str, Any], path: Path, at: Path, locator: Locator
) -> dict[str, Any]:
    merged = dict(base)
    for key, value in overlay.items():
        here = (*path, key)
        twin = key.removesuffix("_file") if key.endswith("_file") else f"{key}_file"
        if value is not None and twin not in overlay:
            merged.pop(twin, None)
        if value is None and not any(path[: len(at)] == at for at in NULL_IS_A_VALUE):
            merged.pop(key, None)
        elif isinstance(value, dict):
            below = merged.get(key)
            if not isinstance(below, dict) or value.get("kind", below.get("kind")) != below.get("kind"):
                below = {}
                locator.moved(here, (*at, key))
            merged[key] = _merge(below, value, here, (*at, key), locator)
        else:
            merged[key] = value
            locator.moved(here, (*at, key))
    return merged


_PLACEHOLDER = "x"


class _List(dict[int, Any]):
    """A list by its original indices: removing an entry does not renumber the others."""


class Pruned:
    """Data from which values are taken out, with paths in the original numbering and in today's.

    `data` is what remains, as plain lists and mappings.
    """

    def __init__(self, data: dict[str, Any]) -> None:
        self._tree: Any = _by_index(data)
        self.data: dict[str, Any] = data

    def original(self, path: Path) -> Path:
        """A path in `data` as it was before any removal."""
        node: Any = self._tree
        result: list[str | int] = []
        for part in path:
            if isinstance(node, _List) and isinstance(part, int) and part < len(node):
                part = list(node)[part]
            result.append(part)
            node = node.get(part) if isinstance(node, dict) else None
        return tuple(result)

    def now(self, path: Path) -> Path:
        """Where the value that was at `path` stands in `data`; `path` itself once it is gone."""
        node: Any = self._tree
        result: list[str | int] = []
        for part in path:
            if not isinstance(node, dict) or part not in node:
                return path
            result.append([*node].index(part) if isinstance(node, _List) else part)
            node = node[part]
        return tuple(result)

    def remove(self, *paths: Path) -> None:
        """Take out what is at `paths`, in the original numbering; for what is not there, its parent."""
        for path in paths:
            self._remove(path)
        if paths:
            self.data = _plain(self._tree)

    def _remove(self, path: Path) -> None:
        parents = [self._tree]
        for part in path[:-1]:
            parents.append(parents[-1].get(part) if isinstance(parents[-1], dict) else None)
        parent = parents[-1]
        if isinstance(parent, dict) and path and path[-1] in parent:
            del parent[path[-1]]
        elif len(path) > 1:
            self._remove(path[:-1])
        elif path:
            self._tree[path[0]] = _PLACEHOLDER  # only `project` is required at the top


def _by_index(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _by_index(value) for key, value in node.items()}
    if isinstance(node, list):
        return _List((n, _by_index(value)) for n, value in enumerate(node))
    return node


def _plain(node: Any) -> Any:
    if isinstance(node, _List):
        return [_plain(value) for value in node.values()]
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items()}
    return node
