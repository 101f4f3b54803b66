"""The words of a command, from the tree to what the shell hands on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from techsapo_ops.wallbounce.classifier.judgement import Word

if TYPE_CHECKING:
    from tree_sitter import Node

_PLAIN = re.compile(r"(?:[^\s;&|<>()`$'\"\\*?\[\]{}!]|!(?==)|\\[^\n])*\Z")
_PATTERN = re.compile(r"(?:[^\s;&|<>()`$'\"\\{}!]|\\[^\n])*\Z")
_QUOTES = ("raw_string", "string")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_IN_QUOTES = re.compile(r"\\([\\\"$`\n])")


def word_of(node: Node) -> Word:
    """The word of a node: its text without quotes, and what of it is put in only when it runs."""
    text = (node.text or b"").decode(errors="replace")
    kind = node.type
    if kind in ("word", "number", "test_operator", "variable_name", "regex"):
        return _bare(text)
    if kind == "raw_string":
        return Word(text[1:-1]) if len(text) > 1 and "'" not in text[1:-1] else Word(text, False)
    if kind == "string":
        return _quoted(node, text)
    if kind == "concatenation":
        return _joined(node, text)
    return Word(text, False)


def _bare(text: str) -> Word:
    if _PLAIN.match(text):
        return Word(_ESCAPED.sub(r"\1", text))
    if _PATTERN.match(text) and text[:1] not in ("", "-", "*", "?", "[", "+"):
        return Word(text, False, True)  # names of files that begin with what stands here
    return Word(text, False)


def _quoted(node: Node, text: str) -> Word:
    fixed = all(c.type in ('"', "string_content") for c in node.children)
    inner = text[1:-1] if len(text) > 1 else ""
    if fixed and not re.search(r"(?<!\\)(?:\\\\)*(?:[`$\"]|![^\s=(])", inner):
        return Word(_IN_QUOTES.sub(r"\1", inner))
    return Word(text, False, inner[:1] not in ("", "-", "$", "`", "+", "\\"))


def _joined(node: Node, text: str) -> Word:
    if text == "{}":
        return Word(text)
    parts = [word_of(c) for c in node.children]
    ends = b"".join(c.text or b"" for c in node.children).decode(errors="replace")
    whole = "".join(p.text for p in parts)
    bare = "".join(p.text for p, c in zip(parts, node.children, strict=True) if c.type not in _QUOTES)
    if ends != text or not all(p.fixed for p in parts) or "{" in bare or "}" in bare:
        first = parts[0] if parts else Word("", False)
        quoted = all(
            p.fixed or c.type == "string" or p.operand for p, c in zip(parts, node.children, strict=True)
        )
        operand = (
            quoted
            and "{" not in text
            and (first.operand or (first.fixed and first.text[:1] not in ("", "-", "+")))
        )
        return Word(text, False, operand)
    return Word(whole)
