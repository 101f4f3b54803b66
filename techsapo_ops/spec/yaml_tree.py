"""YAML text → a tree of nodes, each with its position: bounded in size and depth, and one document alone.

The events of PyYAML's parser are not recursive, so a hostile text can't exhaust the C stack as `yaml.compose`
can.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from techsapo_ops.messages import msg
from techsapo_ops.spec.fullwidth import slip
from techsapo_ops.spec.problems import START, Mark, SpecError, problem_at, shown
from techsapo_ops.spec.syntax import explain_syntax

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same events, ten times as fast
MAX_BYTES = 1 << 20
MAX_DEPTH = 40
_UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
"""All but c-printable of YAML 1.2.2, chapter 5.1, and the byte order mark, which stands at the start alone.
What is refused is named, not what is allowed: up to U+10FFFF that takes `re` 3 ms to compile."""


@dataclass(slots=True)
class Node:
    """One mapping, sequence or scalar, and where it begins."""

    mark: Mark
    kind: str
    text: str = ""
    quoted: bool = False
    items: list[tuple[Node, Node]] = field(default_factory=list)
    """Pairs of a mapping; of a sequence (the entry, the entry)."""


def broken(filename: str, mark: Mark, message: str, hint: str = "") -> SpecError:
    """What is raised for a text that holds no tree of values."""
    return SpecError([problem_at(mark, (), message, hint)], filename)


def _decoded(text: str | bytes, filename: str) -> str:
    if len(text) > MAX_BYTES:
        raise broken(
            filename, START, msg("the file is larger than 1 MB"), msg("a spec is a few hundred lines")
        )
    raw = text if isinstance(text, str) else ""
    if isinstance(text, bytes):
        try:
            raw = text.decode("utf-8")
        except UnicodeDecodeError as error:
            before = text[: error.start].decode("utf-8", errors="replace")
            mark = Mark(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
            raise broken(
                filename,
                mark,
                msg("byte 0x{text:02x} is not UTF-8", text=text[error.start]),
                msg("save the file as UTF-8"),
            ) from None
    raw = raw.removeprefix("\ufeff")
    found = _UNREADABLE.search(raw)
    if found is not None:
        before = raw[: found.start()]
        mark = Mark(before.count("\n") + 1, found.start() - (before.rfind("\n") + 1) + 1)
        raise broken(
            filename,
            mark,
            msg("the character U+{ord:04X} can't stand in YAML", ord=ord(found[0])),
            msg('remove it, or write it as an escape in double quotes, e.g. "\\u001b"'),
        )
    return raw


def refuse_slips(lines: list[str], filename: str, first: int = 1) -> None:
    """Raise SpecError where one of `lines`, from line `first` on, has a full-width `:` or space for YAML's.

    For a text that is wrong already: in one that is right, such a line is a part of a longer value.
    """
    for number, line in enumerate(lines, first):
        if (found := slip(line)) is not None:
            column, message, hint = found
            raise broken(filename, Mark(number, column), message, hint) from None


def _mark(event: Event) -> Mark:
    if event.start_mark is None:
        return START
    return Mark(event.start_mark.line + 1, event.start_mark.column + 1)


def tree_of(text: str | bytes, filename: str) -> Node:
    """The one document of `text`. Raises SpecError for what is no YAML, or no more than 1 MB of it."""
    text = _decoded(text, filename)
    try:
        return _grow(iter(yaml.parse(text, Loader=_Loader)), filename)
    except yaml.YAMLError as error:
        line, column, message, hint = explain_syntax(error, text)
        refuse_slips(text.splitlines()[:line], filename)
        raise broken(filename, Mark(line, column), message, hint) from None


def _grow(events: Iterator[Event], filename: str) -> Node:
    root: Node | None = None
    anchors: dict[str, Node] = {}
    open_nodes: list[Node] = []
    waiting: list[Node | None] = []  # the key that waits for its value, one entry an open node
    documents = 0
    for event in events:
        if isinstance(event, DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise broken(
                    filename,
                    _mark(event),
                    msg("a second document starts here"),
                    msg("a spec is one document: remove `---`"),
                )
            continue
        if isinstance(event, StreamEndEvent):
            break
        if isinstance(event, MappingEndEvent | SequenceEndEvent):
            open_nodes.pop()
            waiting.pop()
            continue
        node = _node(event, anchors, open_nodes, filename)
        if node is None:
            continue
        if open_nodes:
            _attach(open_nodes[-1], node, waiting)
        elif root is None:
            root = node
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            if len(open_nodes) >= MAX_DEPTH:
                raise broken(
                    filename, node.mark, msg("nested more than {max_depth} levels deep", max_depth=MAX_DEPTH)
                )
            open_nodes.append(node)
            waiting.append(None)
    return root or Node(START, "scalar")


def _attach(parent: Node, node: Node, waiting: list[Node | None]) -> None:
    key = waiting[-1]
    if parent.kind == "sequence":
        parent.items.append((node, node))
    elif key is None:
        waiting[-1] = node
    else:
        parent.items.append((key, node))
        waiting[-1] = None


def _node(event: Event, anchors: dict[str, Node], open_nodes: list[Node], filename: str) -> Node | None:
    if isinstance(event, AliasEvent):
        name = shown(str(event.anchor))
        target = anchors.get(str(event.anchor))
        if target is None:
            raise broken(
                filename,
                _mark(event),
                msg("*{name} names no anchor above it", name=name),
                msg("quote it if it is text, or mark the value it stands for with &{name}", name=name),
            )
        if any(target is node for node in open_nodes):
            raise broken(filename, _mark(event), msg("*{name} stands inside the value it names", name=name))
        return target
    if isinstance(event, ScalarEvent):
        node = Node(_mark(event), "scalar", event.value, quoted=not event.implicit[0])
    elif isinstance(event, MappingStartEvent):
        node = Node(_mark(event), "mapping")
    elif isinstance(event, SequenceStartEvent):
        node = Node(_mark(event), "sequence")
    else:
        return None
    if event.tag is not None:
        raise broken(
            filename,
            node.mark,
            msg("the tag {tag} is not known here", tag=shown(str(event.tag))),
            msg("put the value in quotes if it starts with `!`"),
        )
    if event.anchor is not None:
        anchors[event.anchor] = node
    return node
