"""Writes single values into the text of a spec; all else stays as it is, comments too."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from techsapo_ops.catalogue.yaml_text import read_nodes, read_yaml
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.source import parse

_WIDE = 1_000_000
_ANCHOR = re.compile(r"&[^\s,\[\]{}]+\s+")


def with_value(text: str, path: str, value: Any, *, environment: str | None = None) -> str:
    """`text` with `value`, plain data, at the dotted `path`; keys that are missing on the way are added.

    Where the overlay of `environment` has a value there, that one is changed too. Raises SpecError for a text
    that is no spec, OpsError for a path that leads through a value or an alias.
    """
    parse(text, "the spec")  # bounds its depth
    text = _put(text, (), path.split("."), value)
    overlay = _child(_child(read_nodes(text), "environments"), environment) if environment else None
    if environment and overlay is not None and _reaches(overlay, path.split(".")):
        text = _put(text, ("environments", environment), path.split("."), value)
    return text


def without_section(text: str, key: str) -> str:
    """`text` without the section, or value, at the top that is named `key`; as it is where there is none.

    What overlays say of it stays. Raises SpecError for a text that is no spec.
    """
    parse(text, "the spec")
    node = read_nodes(text)
    if not isinstance(node, yaml.MappingNode):
        return text
    keys = [each.value for each, _ in node.value]
    if key not in keys:
        return text
    if node.flow_style or len(keys) == 1:
        return _flow({name: value for name, value in read_yaml(text).items() if name != key}) + "\n"
    at = keys.index(key)
    begins = node.value[at][0].start_mark.index
    ends = _last(node.value[at][1])
    line = text.find("\n", ends - (text[ends - 1] == "\n"))  # with a comment behind it
    return text[:begins] + (text[line + 1 :] if line >= 0 else "")


def repointed(text: str, places: Mapping[str, str]) -> str:
    """`text` with every scalar that is a key of `places` replaced by its value. Raises SpecError."""
    parse(text, "the spec")
    # By place: an alias gives the node of its anchor again.
    nodes = {node.start_mark.index: node for node in _scalars(read_nodes(text)) if node.value in places}
    for at in sorted(nodes, reverse=True):
        text = _replaced(text, nodes[at], places[nodes[at].value])
    return text


def _put(text: str, top: tuple[str, ...], words: list[str], value: Any) -> str:
    node: yaml.Node | None = read_nodes(text)
    for word in top:
        node = _child(node, word)
    done = 0
    while done < len(words):
        if isinstance(node, yaml.ScalarNode) and node.value == "" and not node.style:
            return _replaced(text, node, _nested(words[done:], value))
        if not isinstance(node, yaml.MappingNode | yaml.SequenceNode):
            there = ".".join(words[:done])
            raise OpsError(
                msg("{words}: {there} is a value, not a section", words=".".join(words), there=there),
                msg("check the path"),
                exit_code=2,
            )
        taken = _step(node, words[done:])
        if taken is None:
            if isinstance(node, yaml.SequenceNode):
                raise OpsError(
                    msg(
                        "{words}: the list has no entry {words2}",
                        words=".".join(words),
                        words2=words[done],
                    ),
                    exit_code=2,
                )
            return _added(text, node, words[done], _nested(words[done + 1 :], value))
        count, node = taken
        done += count
    assert node is not None  # noqa: S101 - a path has a word
    return _replaced(text, node, value)


def _step(node: yaml.Node, words: list[str]) -> tuple[int, yaml.Node] | None:
    """The child that the first of `words` name, and how many: a key may have dots in it."""
    for count in range(len(words), 0, -1):
        begins, child = _child_from(node, ".".join(words[:count]))
        if child is not None and child.start_mark.index < begins:
            there = ".".join(words[:count])
            raise OpsError(
                msg("{there} is written as an alias (*)", there=there),
                msg("replace the alias with the value itself"),
                exit_code=2,
            )
        if child is not None:
            return count, child
    return None


def _reaches(node: yaml.Node, words: list[str]) -> bool:
    while words:
        taken = _step(node, words)
        if taken is None:
            return False
        words, node = words[taken[0] :], taken[1]
    return True


def _child(node: yaml.Node | None, word: str | None) -> yaml.Node | None:
    return _child_from(node, word)[1]


def _child_from(node: yaml.Node | None, word: str | None) -> tuple[int, yaml.Node | None]:
    """The child that `word` names, and where its text begins; an alias's node lies above that."""
    if isinstance(node, yaml.MappingNode):
        pairs = ((key.end_mark.index, value) for key, value in node.value if key.value == word)
        return next(pairs, (0, None))
    if isinstance(node, yaml.SequenceNode) and word and word.isascii() and word.isdigit():
        before = [each.end_mark.index for each in node.value[: int(word)]]
        return max(before, default=node.start_mark.index), next(iter(node.value[int(word) :]), None)
    return 0, None


def _last(node: yaml.Node) -> int:
    """Where the text of a node ends; a collection in block style says where the next token begins."""
    if isinstance(node, yaml.MappingNode | yaml.SequenceNode) and not node.flow_style and node.value:
        inner = node.value[-1]
        return _last(inner[1] if isinstance(inner, tuple) else inner)
    return int(node.end_mark.index)


def _nested(words: list[str], value: Any) -> Any:
    for word in reversed(words):
        value = {word: value}
    return value


def _flow(value: Any) -> str:
    text: str = yaml.safe_dump(
        value, default_flow_style=True, allow_unicode=True, width=_WIDE, sort_keys=False
    )
    return text.removesuffix("\n").removesuffix("\n...").strip()


def _replaced(text: str, node: yaml.Node, value: Any) -> str:
    start, end = node.start_mark.index, node.end_mark.index
    anchor = _ANCHOR.match(text, start, end)
    if anchor is not None:  # an alias of it may follow
        start = anchor.end()
    if start == end:  # nothing stands behind the colon
        return f"{text[:start]} {_flow(value)}{text[end:]}"
    # A collection in block style ends where the next token begins.
    end = start + len(text[start:end].rstrip())
    return f"{text[:start]}{_flow(value)}{text[end:]}"


def _added(text: str, node: yaml.MappingNode, key: str, value: Any) -> str:
    if node.flow_style:
        comma = ", " if node.value else ""
        at = node.start_mark.index + 1
        return f"{text[:at]}{_flow(key)}: {_flow(value)}{comma}{text[at:]}"
    first = node.value[0][0].start_mark
    return f"{text[: first.index]}{_flow(key)}: {_flow(value)}\n{' ' * first.column}{text[first.index :]}"


def _scalars(node: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.MappingNode):
        for _, value in node.value:
            yield from _scalars(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _scalars(value)
