"""What a line of shell does, by the tree of bash's grammar. What the tree does not cover is unknown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

from techsapo_ops.catalogue.commands import reading
from techsapo_ops.wallbounce.classifier.foreign import decoded, fetched_before, foreign_code, sends
from techsapo_ops.wallbounce.classifier.judgement import READS, UNKNOWN, Judgement, Word, hazardous
from techsapo_ops.wallbounce.classifier.simple import DEEPEST, SHELLS, Inner, judge_command, line_of, written
from techsapo_ops.wallbounce.classifier.sql import judge_sql
from techsapo_ops.wallbounce.classifier.words import word_of

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

LONGEST = 4000
_MOST_NODES = 5000
_DEEPEST_TREE = 80
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u00a0\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]"
)
_SPEAKS = re.compile(r"[;&|<>`$(){}\\\n]")
_HISTORY = re.compile(rb"(?<!\\)![^\s=(\"]")
"""What an interactive shell replaces by an earlier command before it parses the line."""
_RUNS = re.compile(rb"(?<!\\)(?:\\\\)*(?:`|\$\(|[<>]\()")
"""What would run a command, where the tree has taken it for a word."""
_FORK_BOMB = re.compile(r"(\S{1,20})\s*\(\s*\)\s*\{[^}]{0,80}\|[^}]{0,80}&")
_NOWHERE = frozenset({"/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty"})
_GROUPS = frozenset({"program", "list", "compound_statement", "subshell", "do_group", "negated_command"}) | {
    *("if_statement", "elif_clause", "else_clause", "while_statement", "for_statement")
}
_DOCUMENT = ("heredoc_start", "heredoc_body", "heredoc_end")
_TAKES_DATA = frozenset({"cat", "grep", "wc", "head", "tail", "sort", "uniq", "tr", "cut"})
"""Commands to which a document is data."""
_QUOTED = frozenset({"raw_string", "ansi_c_string", "comment", "heredoc_body", "heredoc_content"})
_WRITES = frozenset({">", ">>", ">|", "&>", "&>>", ">&", "<>"})


@cache
def _parser() -> Parser:
    import tree_sitter_bash  # a grammar of a megabyte: for those who ask of a command
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_bash.language()))


def judge_shell(text: str, depth: int = 0) -> Judgement:
    """What the lines of `text` do."""
    if not text.strip() or len(text) > LONGEST or depth > DEEPEST:
        return UNKNOWN
    try:
        source = text.encode()
    except UnicodeEncodeError:  # half a pair of surrogates, which no shell reads either
        return UNKNOWN
    root = _parser().parse(source).root_node
    if root.descendant_count > _MOST_NODES:
        return UNKNOWN
    judged = _Walk(Inner(judge_shell, depth)).node(root, 0)
    parts = [judged, *fetched_before(judged.commands)]
    if _FORK_BOMB.search(text):
        parts.append(hazardous("exhaust_host", text))
    covered = not (root.has_error or _CONTROL.search(text)) and _covers(root, source)
    return Judgement.of(parts, reads=covered)


def _covers(root: Node, source: bytes) -> bool:
    """Whether the leaves of the tree hold all that is not blank: a parser may pass over some of it."""
    at, said = 0, bytearray(source)
    for leaf in _leaves(root):
        gap = source[at : leaf.start_byte]
        if gap.strip(b" \t\n") not in (b"", b"\\"):
            return False
        if leaf.is_named and leaf.type not in _QUOTED and _RUNS.search(leaf.text or b""):
            return False
        at = max(at, leaf.end_byte)
        if leaf.type in ("raw_string", "comment"):
            said[leaf.start_byte : leaf.end_byte] = b" " * (leaf.end_byte - leaf.start_byte)
    return not source[at:].strip(b" \t\n") and not _HISTORY.search(said)


def _leaves(node: Node) -> Iterator[Node]:
    pending = [node]
    while pending:
        each = pending.pop()
        if each.child_count == 0:
            yield each
        else:
            pending.extend(reversed(each.children))


class _Walk:
    def __init__(self, inner: Inner) -> None:
        self.inner = inner

    def node(self, node: Node, deep: int) -> Judgement:
        """What a part of the tree does."""
        if deep > _DEEPEST_TREE:
            return UNKNOWN
        kind = node.type
        if kind in _GROUPS:
            return Judgement.of(self._part(c, deep) for c in node.children)
        if kind == "command":
            return self._command(node, deep)
        if kind == "pipeline":
            return self._pipeline(node, deep)
        if kind == "redirected_statement":
            return self._redirected(node, deep)
        if kind == "comment":
            return self._comment(node)
        if kind == "test_command":
            return Judgement.of(self._substituted(node, deep))
        if kind in ("variable_assignment", "declaration_command"):
            return self._assigned(node, deep)
        return Judgement.of((self._part(c, deep) for c in node.named_children), reads=False)

    def _comment(self, node: Node) -> Judgement:
        """A comment; at the head of a line, # may be root's prompt, and not every shell skips a comment."""
        said = _text(node).lstrip("#").strip()
        if not said:
            return READS
        judged = self.inner.text(said)
        prompts = node.start_point.column == 0 and bool(re.match("[a-z./~$]", said))
        speaks = bool(_SPEAKS.search(said)) or prompts
        return Judgement((judged.reads or not speaks) and not judged.hazards, judged.hazards)

    def _part(self, node: Node, deep: int) -> Judgement:
        if not node.is_named:
            return READS
        if node.type in (
            "variable_name",
            "word",
            "string",
            "raw_string",
            "number",
            "concatenation",
            "simple_expansion",
            "expansion",
            "ansi_c_string",
            "arithmetic_expansion",
        ):
            return Judgement.of(self._substituted(node, deep))
        if node.type in ("command_substitution", "process_substitution"):
            return Judgement.of(self._part(c, deep + 1) for c in node.named_children)
        return self.node(node, deep + 1)

    def _substituted(self, node: Node, deep: int) -> Iterator[Judgement]:
        """What is run to fill in a word."""
        pending = (
            list(node.children)
            if node.type not in ("command_substitution", "process_substitution")
            else [node]
        )
        while pending:
            each = pending.pop()
            if each.type in ("command_substitution", "process_substitution"):
                yield self._part(each, deep)
                if any(c.type == "file_redirect" for c in each.named_children) or _text(each).startswith(
                    ">("
                ):
                    yield UNKNOWN
            elif each.type == "ERROR":
                yield UNKNOWN
            else:
                pending.extend(each.children)

    def _assigned(self, node: Node, deep: int) -> Judgement:
        names = [_text(n) for n in _named(node, "variable_name")]
        safe = all(n.islower() or reading().may_set(n) for n in names)
        plain = node.type == "variable_assignment" or all(
            c.type == "variable_assignment" for c in node.named_children
        )
        return Judgement.of(self._substituted(node, deep), reads=safe and plain)

    def _command(self, node: Node, deep: int) -> Judgement:
        words: list[Word] = []
        parts: list[Judgement] = []
        inputs: list[Judgement] = []
        safe = True
        for child in node.children:
            if child.type == "variable_assignment":
                name = next(iter(_named(child, "variable_name")), None)
                safe = safe and name is not None and reading().may_set(_text(name))
                parts += self._substituted(child, deep)
            elif child.type in ("file_redirect", "herestring_redirect", "heredoc_redirect"):
                inputs.append(self._redirect(child, deep, ()))
            elif child.type == "command_name":
                words.append(word_of(child.children[0] if child.children else child))
                inputs += self._substituted(child, deep)
            else:
                words.append(word_of(child))
                inputs += (
                    [self._part(child, deep)]
                    if child.type in ("command_substitution", "process_substitution")
                    else self._substituted(child, deep)
                )
        made = judge_command(words, self.inner)
        parts += [made, *inputs, *foreign_code(words, inputs)]
        return Judgement.of(parts, reads=safe)

    def _pipeline(self, node: Node, deep: int) -> Judgement:
        stages = [self._part(c, deep) for c in node.named_children]
        parts = list(stages)
        for place, stage in enumerate(stages[1:], 1):
            for command in stage.commands:
                parts += foreign_code(command, stages[:place], piped=True)
                if sends(command) and not all(_says_nothing(c) for c in stages[place - 1].commands):
                    parts.append(UNKNOWN)
        codes = decoded([c for stage in stages for c in stage.commands])
        parts += [self.inner.text(code).unknown() for code in codes]
        return Judgement.of(parts)

    def _redirected(self, node: Node, deep: int) -> Judgement:
        body = [c for c in node.named_children if not c.type.endswith("_redirect")]
        judged = [self._part(c, deep) for c in body]
        commands = [c for j in judged for c in j.commands]
        words = commands[0] if commands else ()
        inputs = [self._redirect(c, deep, words) for c in node.named_children if c.type.endswith("_redirect")]
        parts = [*judged, *inputs]
        for command in commands:
            parts += foreign_code(command, inputs, piped=True)
            if sends(command) and any(
                _text(c).lstrip("< ") != "/dev/null"
                for c in node.named_children
                if "<" in _text(c) and c not in body
            ):
                parts.append(UNKNOWN)
        return Judgement.of(parts)

    def _redirect(self, node: Node, deep: int, words: Sequence[Word]) -> Judgement:
        if node.type == "herestring_redirect":
            return Judgement.of(self._substituted(node, deep))
        if node.type == "heredoc_redirect":
            return self._heredoc(node, deep, words)
        signs = {c.type for c in node.children if not c.is_named}
        targets = [c for c in node.named_children if c.type != "file_descriptor"]
        parts = [
            j
            for c in targets
            for j in ([self._part(c, deep)] if "substitution" in c.type else self._substituted(c, deep))
        ]
        for target in targets:
            word = word_of(target)
            if "/dev/tcp/" in word.text or "/dev/udp/" in word.text:
                parts.append(hazardous("reverse_shell", line_of(words) + " " + _text(node)))
            elif signs & _WRITES and not self._harmless(target, word, signs):
                command = f"{line_of(words)} {_text(node)}".strip()
                parts.append(written(word.text, command, appends=bool(signs & {">>", "&>>"})))
                if signs & {">", ">|"} and _empties(words, word):
                    parts.append(hazardous("truncate_file", command))
                if word.text == "/proc/sysrq-trigger":
                    parts.append(hazardous("power_off", command))
        return Judgement.of(parts, reads=bool(targets) or ">&" in signs or "<&" in signs)

    def _harmless(self, target: Node, word: Word, signs: set[str]) -> bool:
        if word.fixed and word.text in _NOWHERE and "<>" not in signs:
            return True
        return (
            ">&" in signs
            and target.type in ("number", "word")
            and bool(re.fullmatch(r"\d+|-|\d+-", word.text))
        )

    def _beside(self, node: Node, deep: int, words: Sequence[Word]) -> Judgement:
        """What stands on a document's first line behind it."""
        return self._redirect(node, deep, words) if node.type == "file_redirect" else self._part(node, deep)

    def _heredoc(self, node: Node, deep: int, words: Sequence[Word]) -> Judgement:
        """A document within the line: judged where a shell or a database reads it, else only data."""
        bodies = [c for c in node.named_children if c.type == "heredoc_body"]
        others = [c for c in node.named_children if c.type not in _DOCUMENT]
        parts = [self._beside(c, deep, words) for c in others]
        text = "\n".join(_text(b) for b in bodies)
        readers = [tuple(words), *(c for p in parts for c in p.commands)]
        names = {w.text.rsplit("/", 1)[-1] for each in readers for w in each}
        if names & (SHELLS | {"ssh"}):
            parts.append(self.inner.text(text).unknown())
        if names & reading().sql_clients:
            parts.append(judge_sql(text).unknown())
        parts += [j for b in bodies for j in self._substituted(b, deep)]
        heads = {each[0].text for each in readers if each}
        return Judgement.of(parts, reads=heads <= _TAKES_DATA and _closed(node, text))


def _closed(node: Node, text: str) -> bool:
    """Whether a document ends where every shell ends it, and is taken as it stands."""
    starts = [_text(c) for c in node.named_children if c.type == "heredoc_start"]
    ends = [_text(c) for c in node.named_children if c.type == "heredoc_end"]
    if len(starts) != 1 or len(ends) != 1 or not re.fullmatch(r"(['\"]?)[A-Za-z_]+\1", starts[0]):
        return False
    mark = starts[0].strip("'\"")
    plain = starts[0] != mark or not re.search(r"[$`\\]", text)
    return ends[0] == mark and plain and "<<-" not in _text(node) and mark not in text


def _empties(words: Sequence[Word], target: Word) -> bool:
    """Whether a redirection leaves an empty file: nothing is written, or the file is what would be read."""
    nothing = ("", ":", "true", "cat /dev/null", "echo", "echo -n", "printf", "echo ''", "printf ''")
    return line_of(words).strip() in nothing or (
        ("." in target.text or "/" in target.text) and any(w.text == target.text for w in words[1:])
    )


def _says_nothing(words: Sequence[Word]) -> bool:
    """Whether a command puts out at most a Q, with which a client of TLS ends."""
    return line_of(words) in ("echo", "echo -n", "echo Q", "true", ":", "printf Q", "yes ''")


def _named(node: Node, kind: str) -> Iterator[Node]:
    pending = [node]
    while pending:
        each = pending.pop()
        if each.type == kind:
            yield each
        pending.extend(each.children)


def _text(node: Node) -> str:
    return (node.text or b"").decode(errors="replace")
