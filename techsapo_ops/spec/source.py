"""YAML text → plain data, with the position of every key and value.

PyYAML's parser gives events, and the rest is done here, because a spec needs what its constructor leaves out:
positions, refusal of duplicate keys, bounds on depth and aliases, and scalars that mean one thing only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from techsapo_ops.messages import msg
from techsapo_ops.spec.problems import START, Mark, Path, Problem, problem_at, shown
from techsapo_ops.spec.scalars import Trap, plain
from techsapo_ops.spec.yaml_tree import MAX_DEPTH, Node, broken, refuse_slips, tree_of

MAX_NODES = 50_000
FIRST_LINE_HINT = msg("write at least `project: NAME`, or run `techsapo init`")


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


def parse(text: str | bytes, filename: str = "techsapo.yaml") -> Document:
    """Read one YAML document whose top level is a mapping.

    Raises SpecError for text that is not YAML, or not a mapping; what is wrong with single values is
    listed in the result's `problems`.
    """
    root = tree_of(text, filename)
    if root.kind != "mapping":
        if root.kind == "scalar" and not root.quoted:
            refuse_slips(root.text.splitlines(), filename, root.mark.line)
        if root.kind == "scalar" and not root.text and not root.quoted:
            raise broken(filename, START, msg("the file is empty"), FIRST_LINE_HINT)
        what = msg("a list") if root.kind == "sequence" else msg("a single value")
        raise broken(
            filename,
            root.mark,
            msg("the top level must be `key: value` pairs, not {what}", what=what),
            FIRST_LINE_HINT,
        )
    builder = _Builder(filename)
    builder.document.data = builder.build(root, ())
    return builder.document


class _Builder:
    def __init__(self, filename: str) -> None:
        self.filename = filename
        self.document = Document({})
        self.nodes = 0

    def build(self, node: Node, path: Path) -> Any:
        """Plain data of `node`; depth is bounded by MAX_DEPTH, size (aliases repeat) by MAX_NODES."""
        self.document.values.setdefault(path, node.mark)
        self.nodes += 1
        if self.nodes > MAX_NODES or len(path) > MAX_DEPTH:
            what = (
                msg("{max_nodes} values", max_nodes=MAX_NODES)
                if self.nodes > MAX_NODES
                else msg("{max_depth} levels", max_depth=MAX_DEPTH)
            )
            raise broken(
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

    def scalar(self, node: Node, path: Path) -> object:
        value = node.text if node.quoted else plain(node.text)
        if isinstance(value, Trap):
            self.note(node.mark, path, value.message, value.hint)
            self.document.bad.add(path)
            return node.text
        return value

    def mapping(self, node: Node, path: Path) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key, value in self.pairs(node, path):
            name = self.key(key, path)
            if name is None:
                self.document.lacking.add(path)
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

    def pairs(self, node: Node, path: Path) -> list[tuple[Node, Node]]:
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

    def key(self, node: Node, path: Path) -> str | None:
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


def _is_merge(key: Node) -> bool:
    return key.kind == "scalar" and key.text == "<<" and not key.quoted
