"""Puts the secrets of the present spec where a backup of the spec has them masked."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from techsapo_ops.errors import OpsError
from techsapo_ops.masking import MASK
from techsapo_ops.messages import msg

_Path = tuple[str | int, ...]
_Scalars = Iterator[tuple[_Path, yaml.ScalarNode]]


def filled(text: str, present: str, where: str) -> str:
    """`text` with every masked value as `present` writes it at the same place.

    In a list, entries are the same only where everything else in them is, and a section of another `kind` is
    another one. Raises OpsError naming a value that `present` has not; `where` is the file's name in it.
    """
    there = yaml.compose(present) if present.strip() else None
    masked = [(path, node) for path, node in _scalars(yaml.compose(text)) if node.value == MASK]
    for path, node in reversed(masked):
        found = _at(yaml.compose(text), there, path)
        if found is None:
            line = node.start_mark.line + 1
            raise OpsError(
                msg(
                    "{where}:{line} {map} is masked in the backup, and the spec here has no such value\n"
                    "nothing was touched",
                    where=where,
                    line=line,
                    map=".".join(map(str, path)),
                ),
                msg("write it into the spec here first, or fetch the spec from off-site (docs/backup.md)"),
            )
        value = present[found.start_mark.index : found.end_mark.index]
        text = f"{text[: node.start_mark.index]}{value}{text[node.end_mark.index :]}"
    return text


def _scalars(node: yaml.Node | None, path: _Path = ()) -> _Scalars:
    if isinstance(node, yaml.ScalarNode):
        yield path, node
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _scalars(value, (*path, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _scalars(value, (*path, number))


def _at(mine: yaml.Node | None, theirs: yaml.Node | None, path: _Path) -> yaml.ScalarNode | None:
    """The scalar of `theirs` at `path`, where what is on the way is the same in `mine`."""
    for step in path:
        mine, theirs = _child(mine, step), _child(theirs, step)
        if (isinstance(step, int) and not _agree(mine, theirs)) or _kind(mine) != _kind(theirs):
            return None
    if not isinstance(theirs, yaml.ScalarNode) or theirs.style in {"|", ">"} or theirs.value == MASK:
        return None
    return theirs


def _child(node: yaml.Node | None, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        found: yaml.Node = node.value[step]
        return found
    return None


def _kind(node: yaml.Node | None) -> str | None:
    found = _child(node, "kind")
    return found.value if isinstance(found, yaml.ScalarNode) else None


def _agree(mine: yaml.Node | None, theirs: yaml.Node | None) -> bool:
    others = dict(_plain(theirs))
    return all(others.get(path) == value for path, value in _plain(mine) if value != MASK)


def _plain(node: yaml.Node | None) -> Iterator[tuple[_Path, str]]:
    return ((path, scalar.value) for path, scalar in _scalars(node))
