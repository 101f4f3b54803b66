"""YAML text → plain data, with the position of every key and value.

PyYAML's parser gives events; the tree is built here, because a spec needs what its constructor leaves out:
positions, refusal of duplicate keys, bounds on depth and aliases, and scalars that mean one thing only.
The events are not recursive, so a hostile text can't exhaust the C stack as `yaml.compose` can.
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
from techsapo_ops.spec.problems import START, Mark, Path, Problem, SpecError, problem_at, shown
from techsapo_ops.spec.scalars import Trap, plain
from techsapo_ops.spec.syntax import explain_syntax

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same events, ten times as fast
MAX_BYTES = 1 << 20
MAX_DEPTH = 40
MAX_NODES = 50_000
_UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
"""All but c-printable of YAML 1.2.2, chapter 5.1, and the byte order mark, which stands at the start alone.
What is refused is named, not what is allowed: up to U+10FFFF that takes `re` 3 ms to compile."""
FIRST_LINE_HINT = msg("write at least `project: NAME`, or run `techsapo init`")


@dataclass(slots=True)
class Document:
    """Data of one file, where each value and key stands, and what is wrong with it already.

    `bad` holds the paths whose value in `data` is only a stand-in for one that can't be used.
    """

    data: dict[str, Any]
    values: dict[Path, Mark] = field(default_factory=dict)
    keys: dict[Path, Mark] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    bad: set[Path] = field(default_factory=set)


@dataclass(slots=True)
class _Node:
    mark: Mark
    kind: str
    text: str = ""
    quoted: bool = False
    items: list[tuple[_Node, _Node]] = field(default_factory=list)
    """Pairs of a mapping; of a sequence (the entry, the entry)."""


def parse(text: str | bytes, filename: str = "techsapo.yaml") -> Document:
    """Read one YAML document whose top level is a mapping.

    Raises SpecError for text that is not YAML, or not a mapping; what is wrong with single values is
    listed in the result's `problems`.
    """
    root = _tree(_decoded(text, filename), filename)
    if root.kind != "mapping":
        if root.kind == "scalar" and not root.quoted:
            _refuse_slips(root.text.splitlines(), filename, root.mark.line)
        if root.kind == "scalar" and not root.text and not root.quoted:
            raise _error(filename, START, msg("the file is empty"), FIRST_LINE_HINT)
        what = msg("a list") if root.kind == "sequence" else msg("a single value")
        raise _error(
            filename,
            root.mark,
            msg("the top level must be `key: value` pairs, not {what}", what=what),
            FIRST_LINE_HINT,
        )
    builder = _Builder(filename)
    builder.document.data = builder.build(root, ())
    return builder.document


def _error(filename: str, mark: Mark, message: str, hint: str = "") -> SpecError:
    return SpecError([problem_at(mark, (), message, hint)], filename)


def _decoded(text: str | bytes, filename: str) -> str:
    if len(text) > MAX_BYTES:
        raise _error(
            filename, START, msg("the file is larger than 1 MB"), msg("a spec is a few hundred lines")
        )
    raw = text if isinstance(text, str) else ""
    if isinstance(text, bytes):
        try:
            raw = text.decode("utf-8")
        except UnicodeDecodeError as error:
            before = text[: error.start].decode("utf-8", errors="replace")
            mark = Mark(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
            raise _error(
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
        raise _error(
            filename,
            mark,
            msg("the character U+{ord:04X} can't stand in YAML", ord=ord(found[0])),
            msg('remove it, or write it as an escape in double quotes, e.g. "\\u001b"'),
        )
    return raw


def _refuse_slips(lines: list[str], filename: str, first: int = 1) -> None:
    """Raise SpecError where one of `lines`, from line `first` on, has a full-width `:` or space for YAML's.

    For a text that is wrong already: in one that is right, such a line is a part of a longer value.
    """
    for number, line in enumerate(lines, first):
        if (found := slip(line)) is not None:
            column, message, hint = found
            raise _error(filename, Mark(number, column), message, hint) from None


def _mark(event: Event) -> Mark:
    if event.start_mark is None:
        return START
    return Mark(event.start_mark.line + 1, event.start_mark.column + 1)


def _tree(text: str, filename: str) -> _Node:
    try:
        return _grow(iter(yaml.parse(text, Loader=_Loader)), filename)
    except yaml.YAMLError as error:
        line, column, message, hint = explain_syntax(error, text)
        _refuse_slips(text.splitlines()[:line], filename)
        raise _error(filename, Mark(line, column), message, hint) from None


def _grow(events: Iterator[Event], filename: str) -> _Node:
    root: _Node | None = None
    anchors: dict[str, _Node] = {}
    open_nodes: list[_Node] = []
    waiting: list[_Node | None] = []  # the key that waits for its value, one entry an open node
    documents = 0
    for event in events:
        if isinstance(event, DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise _error(
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
                raise _error(
                    filename, node.mark, msg("nested more than {max_depth} levels deep", max_depth=MAX_DEPTH)
                )
            open_nodes.append(node)
            waiting.append(None)
    return root or _Node(START, "scalar")


def _attach(parent: _Node, node: _Node, waiting: list[_Node | None]) -> None:
    key = waiting[-1]
    if parent.kind == "sequence":
        parent.items.append((node, node))
    elif key is None:
        waiting[-1] = node
    else:
        parent.items.append((key, node))
        waiting[-1] = None


def _node(event: Event, anchors: dict[str, _Node], open_nodes: list[_Node], filename: str) -> _Node | None:
    if isinstance(event, AliasEvent):
        name = shown(str(event.anchor))
        target = anchors.get(str(event.anchor))
        if target is None:
            raise _error(
                filename,
                _mark(event),
                msg("*{name} names no anchor above it", name=name),
                msg("quote it if it is text, or mark the value it stands for with &{name}", name=name),
            )
        if any(target is node for node in open_nodes):
            raise _error(filename, _mark(event), msg("*{name} stands inside the value it names", name=name))
        return target
    if isinstance(event, ScalarEvent):
        node = _Node(_mark(event), "scalar", event.value, quoted=not event.implicit[0])
    elif isinstance(event, MappingStartEvent):
        node = _Node(_mark(event), "mapping")
    elif isinstance(event, SequenceStartEvent):
        node = _Node(_mark(event), "sequence")
    else:
        return None
    if event.tag is not None:
        raise _error(
            filename,
            node.mark,
            msg("the tag {tag} is not known here", tag=shown(str(event.tag))),
            msg("put the value in quotes if it starts with `!`"),
        )
    if event.anchor is not None:
        anchors[event.anchor] = node
    return node


class _Builder:
    def __init__(self, filename: str) -> None:
        self.filename = filename
        self.document = Document({})
        self.nodes = 0

    def build(self, node: _Node, path: Path) -> Any:
        """Plain data of `node`; depth is bounded by MAX_DEPTH, size (aliases repeat) by MAX_NODES."""
        self.document.values.setdefault(path, node.mark)
        self.nodes += 1
        if self.nodes > MAX_NODES or len(path) > MAX_DEPTH:
            what = (
                msg("{max_nodes} values", max_nodes=MAX_NODES)
                if self.nodes > MAX_NODES
                else msg("{max_depth} levels", max_depth=MAX_DEPTH)
            )
            raise _error(
                self.filename,
                node.mark,
                msg("the aliases unfold to more than {what}", what=what),
                msg("write out what they stand for"),
            )
        if node.kind == "scalar":
            return self.scalar(node, path)
        if node.kind == "sequence":
            return [self.build(child, (*path, n)) for n, (child, _) in enumerate(node.items)]
        return self.mapping(node, path)

    def scalar(self, node: _Node, path: Path) -> object:
        value = node.text if node.quoted else plain(node.text)
        if isinstance(value, Trap):
            self.note(node.mark, path, value.message, value.hint)
            self.document.bad.add(path)
            return node.text
        return value

    def mapping(self, node: _Node, path: Path) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key, value in self.pairs(node, path):
            name = self.key(key, path)
            if name is None:
                continue
            here = (*path, name)
            if name in built:
                first = self.document.keys[here]
                self.note(
                    key.mark,
                    here,
                    msg("is given twice, first on line {line}", line=first.line),
                    msg("remove one of the two"),
                )
                continue
            self.document.keys[here] = key.mark
            built[name] = self.build(value, here)
        return built

    def pairs(self, node: _Node, path: Path) -> list[tuple[_Node, _Node]]:
        """The pairs of a mapping, with those that `<<` brings behind those it holds itself."""
        own = [(k, v) for k, v in node.items if not _is_merge(k)]
        taken = {k.text for k, _ in own if k.kind == "scalar"}
        for key, value in node.items:
            if not _is_merge(key):
                continue
            for source in [s for s, _ in value.items] if value.kind == "sequence" else [value]:
                if source.kind != "mapping":
                    self.note(
                        key.mark,
                        path,
                        msg("`<<` takes the keys of another mapping"),
                        msg("write `<<: *anchor`"),
                    )
                    continue
                for merged in source.items:
                    if (
                        merged[0].kind == "scalar"
                        and merged[0].text not in taken
                        and not _is_merge(merged[0])
                    ):
                        taken.add(merged[0].text)
                        own.append(merged)
        return own

    def key(self, node: _Node, path: Path) -> str | None:
        """The key as text; None, with a problem, for what can't be one."""
        if node.kind != "scalar":
            self.note(
                node.mark,
                path,
                msg("a key must be a word, not a list or a mapping"),
                msg("quote it if it is text, e.g. with {{{{ }}}} in it"),
            )
            return None
        value = node.text if node.quoted else plain(node.text)
        if isinstance(value, Trap):
            self.note(
                node.mark,
                path,
                msg("as a key: {message}", message=value.message),
                msg('write "{text}" for the text', text=node.text),
            )
        elif value is None:
            self.note(node.mark, path, msg("an empty key"), msg("write the key before the `:`"))
        elif not isinstance(value, str):
            self.note(
                node.mark,
                path,
                msg("the key {text} is not text", text=shown(node.text)),
                msg('write "{text}"', text=shown(node.text)),
            )
        else:
            return value
        return None

    def note(self, mark: Mark, path: Path, message: str, hint: str = "") -> None:
        self.document.problems.append(problem_at(mark, path, message, hint))


def _is_merge(key: _Node) -> bool:
    return key.kind == "scalar" and key.text == "<<" and not key.quoted
