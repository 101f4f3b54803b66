"""A spec's data without the values that are wrong, so that the rest can still be checked."""

from __future__ import annotations

from typing import Any

from techsapo_ops.spec.problems import Path

_STAND_IN = "x"


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
            self._tree[path[0]] = _STAND_IN  # only `project` is required at the top


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
