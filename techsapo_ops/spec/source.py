"""YAML text → plain data, with the position of every key and value.

PyYAML makes the tree of nodes. The rest is done here, because a spec needs what its constructor leaves out:
positions, refusal of duplicate keys, bounds on depth and aliases, and scalars that mean one thing only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.events import CollectionEndEvent, CollectionStartEvent
from yaml.resolver import Resolver

from techsapo_ops.catalogue.yaml_text import LOADER, read_nodes
from techsapo_ops.messages import msg
from techsapo_ops.spec.problems import START, Mark, Path, Problem, SpecError, problem_at, shown, slip
from techsapo_ops.spec.syntax import explain_syntax

_SWITCHES = {"on": "true", "yes": "true", "y": "true", "off": "false", "no": "false", "n": "false"}
_CORE = {
    "null": re.compile(r"|~|null|Null|NULL"),
    "bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    "int": re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII),
    "float": re.compile(
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII
    ),
}
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+", re.ASCII)
"""Octal in 1.1, decimal in 1.2."""
_YAML_1_1: Any = Resolver()  # PyYAML has no types
MAX_DIGITS = 400


@dataclass(frozen=True, slots=True)
class Trap:
    """A scalar that YAML readers disagree on: how they read it, and what to write."""

    message: str
    hint: str


def plain(text: str) -> object:
    """The value of an unquoted scalar: None, bool, int, float, str, or a Trap."""
    meaning = _SWITCHES.get(text.lower()) if text in {text.lower(), text.upper(), text.capitalize()} else None
    if meaning is not None:
        return Trap(
            msg("some YAML readers read {text} as {meaning}, others as text", text=text, meaning=meaning),
            msg('write {meaning}, or "{text}" for the text', meaning=meaning, text=text),
        )
    kind = next((kind for kind, form in _CORE.items() if form.fullmatch(text)), "str")
    if kind in {"int", "float"} and len(text) > MAX_DIGITS:
        return Trap(
            msg("a number of {count} digits is too long", count=len(text)),
            msg("put the value in quotes if it is text"),
        )
    old = _YAML_1_1.resolve(yaml.ScalarNode, text, (True, False)).rpartition(":")[2]
    if old != kind or _LEADING_ZERO.fullmatch(text):
        return Trap(
            msg("YAML readers disagree on whether {text} is a number, a date or text", text=text),
            msg('write "{text}" for the text, or the number in plain decimal digits', text=text),
        )
    match kind:
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            return int(text, 16 if text.startswith("0x") else 10)
        case "float":
            return float(re.sub(r"\.(inf|nan)", r"\1", text.lower()))
    return text


MAX_CHARACTERS = 1 << 20
MAX_DEPTH = 40
MAX_NODES = 50_000
_UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
"""All but c-printable of YAML 1.2.2, chapter 5.1, and the byte order mark, which stands at the start alone.
What is refused is named, not what is allowed: up to U+10FFFF that takes `re` 3 ms to compile."""
_FIRST_LINE_HINT = msg("write at least `project: NAME`, or run `techsapo init`")


@dataclass(slots=True)
class Document:
    """Data of one file, where each value and key stands, and what is wrong with it already.

    `bad` holds the paths whose value in `data` is only a stand-in for one that can't be used,
    `lacking` those of mappings without an entry whose key can't be used.
    """

    data: dict[str, Any]
    values: dict[Path, Mark] = field(default_factory=dict)
    keys: dict[Path, Mark] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    bad: set[Path] = field(default_factory=set)
    lacking: set[Path] = field(default_factory=set)


def parse(text: str, filename: str = "techsapo.yaml") -> Document:
    """Read one YAML document whose top level is a mapping.

    Raises SpecError for text that is not YAML, or not a mapping; what is wrong with single values is
    listed in the result's `problems`.
    """
    text = _readable(text, filename)
    try:
        _refuse_depth_and_tags(text, filename)
        root = read_nodes(text)
    except yaml.YAMLError as error:
        line, column, message, hint = explain_syntax(error, text)
        _refuse_slips(text.splitlines()[:line], filename)
        raise _broken(filename, Mark(line, column), message, hint) from None
    if root is None or (isinstance(root, yaml.ScalarNode) and not root.value and not root.style):
        raise _broken(filename, START, msg("the file is empty"), _FIRST_LINE_HINT)
    if not isinstance(root, yaml.MappingNode):
        if isinstance(root, yaml.ScalarNode) and not root.style:
            _refuse_slips(root.value.splitlines(), filename, _mark(root).line)
        what = msg("a list") if isinstance(root, yaml.SequenceNode) else msg("a single value")
        message = msg("the top level must be `key: value` pairs, not {what}", what=what)
        raise _broken(filename, _mark(root), message, _FIRST_LINE_HINT)
    builder = _Builder(filename)
    builder.document.data = builder.build(root, ())
    return builder.document


def _broken(filename: str, mark: Mark, message: str, hint: str = "") -> SpecError:
    """What is raised for a text that holds no tree of values."""
    return SpecError([problem_at(mark, (), message, hint)], filename)


def _readable(text: str, filename: str) -> str:
    """`text` without a byte order mark. Raises SpecError for one that is too large or no YAML may hold."""
    if len(text) > MAX_CHARACTERS:
        message = msg("the file is larger than 1 MB")
        raise _broken(
            filename, START, message, msg("a spec has a few hundred lines: check that this is the right file")
        )
    text = text.removeprefix("\ufeff")
    unreadable = _UNREADABLE.search(text)
    if unreadable is not None:
        before = text[: unreadable.start()]
        mark = Mark(before.count("\n") + 1, len(before) - before.rfind("\n"))
        message = msg("the character U+{ord:04X} is not allowed in YAML", ord=ord(unreadable[0]))
        hint = msg('remove the character, or write it as an escape in double quotes, e.g. "\\u001b"')
        raise _broken(filename, mark, message, hint)
    return text


def _refuse_depth_and_tags(text: str, filename: str) -> None:
    """Raise SpecError for what `yaml.compose` can't be given: it is recursive, and a hostile text would
    exhaust the C stack.
    """
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > MAX_DEPTH:
            message = msg("nested more than {max_depth} levels deep", max_depth=MAX_DEPTH)
            raise _broken(filename, _mark(event), message)
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise _broken(
                filename,
                _mark(event),
                msg("the YAML tag {tag} is not supported in a spec", tag=shown(str(tag))),
                msg("put the value in quotes if it starts with `!`"),
            )


def _refuse_slips(lines: list[str], filename: str, first: int = 1) -> None:
    """Raise SpecError where one of `lines`, from line `first` on, has a full-width `:` or space for YAML's.

    For a text that is wrong already: in one that is right, such a line is a part of a longer value.
    """
    for number, line in enumerate(lines, first):
        if (problem := slip(line)) is not None:
            column, message, hint = problem
            raise _broken(filename, Mark(number, column), message, hint) from None


def _mark(placed: Any) -> Mark:
    """Where a node or an event begins."""
    return Mark(placed.start_mark.line + 1, placed.start_mark.column + 1)


class _Builder:
    def __init__(self, filename: str) -> None:
        self.filename = filename
        self.document = Document({})
        self.nodes = 0

    def build(self, node: Any, path: Path) -> Any:
        """Plain data of `node`; depth is bounded by MAX_DEPTH, size (aliases repeat) by MAX_NODES."""
        self.document.values.setdefault(path, _mark(node))
        self.nodes += 1
        if self.nodes > MAX_NODES or len(path) > MAX_DEPTH:
            message = msg(
                "the aliases expand to more than {values} values or {levels} levels",
                values=MAX_NODES,
                levels=MAX_DEPTH,
            )
            raise _broken(
                self.filename, _mark(node), message, msg("replace the aliases with the values themselves")
            )
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(child, (*path, n)) for n, child in enumerate(node.value)]
        value = _scalar(node)
        if isinstance(value, Trap):
            self.note(node, path, value.message, value.hint)
            self.document.bad.add(path)
            return node.value
        return value

    def mapping(self, node: Any, path: Path) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key, value in self.pairs(node, path):
            name = self.key(key, path)
            if name is None:
                self.document.lacking.add(path)
                continue
            here = (*path, name)
            if name in built:
                first = msg("is given twice, first on line {line}", line=self.document.keys[here].line)
                self.note(key, here, first, msg("remove one of the two lines"))
                continue
            self.document.keys[here] = _mark(key)
            built[name] = self.build(value, here)
        return built

    def pairs(self, node: Any, path: Path) -> list[tuple[Any, Any]]:
        """The pairs of a mapping, with those that `<<` brings behind those it holds itself."""
        own = [(key, value) for key, value in node.value if not _is_merge(key)]
        taken = {str(key.value) for key, _ in own}
        for key, value in node.value:
            if not _is_merge(key):
                continue
            for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if not isinstance(source, yaml.MappingNode):
                    self.note(
                        key,
                        path,
                        msg("the value of `<<` must be another mapping"),
                        msg("write `<<: *anchor`"),
                    )
                    continue
                for merged in source.value:
                    if not _is_merge(merged[0]) and str(merged[0].value) not in taken:
                        taken.add(str(merged[0].value))
                        own.append(merged)
        return own

    def key(self, node: Any, path: Path) -> str | None:
        """The key as text; None, with a problem, for what can't be one."""
        if not isinstance(node, yaml.ScalarNode):
            message = msg("a key must be text, not a list or a mapping")
            self.note(
                node,
                path,
                message,
                msg("put the key in quotes if it is text, e.g. because it contains {{{{ }}}}"),
            )
            return None
        value = _scalar(node)
        if isinstance(value, str):
            return value
        if value is None:
            self.note(node, path, msg("the key is empty"), msg("write the key before the `:`"))
        else:
            text = shown(node.value)
            self.note(
                node, path, msg("the key {text} is not text", text=text), msg('write "{text}"', text=text)
            )
        return None

    def note(self, node: Any, path: Path, message: str, hint: str = "") -> None:
        self.document.problems.append(problem_at(_mark(node), path, message, hint))


def _scalar(node: Any) -> object:
    return node.value if node.style else plain(node.value)


def _is_merge(key: Any) -> bool:
    return isinstance(key, yaml.ScalarNode) and key.value == "<<" and not key.style
