"""Texts for people that are no messages, so that no other language can say them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from tests.house.source import Module, Package, Place, last_name

ERROR = "OpsError"
_SAY = frozenset({"say", "warn", "detail", "next", "data"})
"""Methods of cli.output.Output, and of what stands for it."""
_FIRST = {"confirm": 1, "BadParameter": 1}
_COMMAND = re.compile(r"`?(?:techsapo|apt-get)( [a-z@{}A-Z-][^ ,;]*)*`?")
_WORDS = re.compile(r"[^\W\d_]{2,} |, | [^\W\d_]{2,}")


def bare_texts(package: Package) -> Iterator[Place]:
    """What an OpsError or the command line says as a plain text; `msg` makes a message of it."""
    errors = _errors(package)
    for module in package:
        for node in module.nodes:
            if isinstance(node, ast.Call):
                yield from _bare(module, node, errors)


def _bare(module: Module, call: ast.Call, errors: frozenset[str]) -> Iterator[Place]:
    name = last_name(call.func)
    if name in errors:
        said = [*call.args[:2], *(k.value for k in call.keywords if k.arg in {"message", "hint"})]
    elif name in _FIRST or (name in _SAY and isinstance(call.func, ast.Attribute)):
        said = call.args[:1]
    else:
        return
    for text in said:
        for part in _parts(text):
            if _says_something(part):
                yield module.place(part, f"{name}({ast.unparse(part)})")


def _parts(text: ast.expr) -> Iterator[ast.expr]:
    """What a text may be: either side of a choice."""
    match text:
        case ast.IfExp():
            yield from (*_parts(text.body), *_parts(text.orelse))
        case ast.BoolOp():
            for value in text.values:
                yield from _parts(value)
        case _:
            yield text


def _says_something(text: ast.expr) -> bool:
    match text:
        case ast.Constant(str(said)):
            words = said
        case ast.JoinedStr():
            words = "".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in text.values)
        case _:
            return False
    return _COMMAND.fullmatch(words) is None and _WORDS.search(words) is not None


def _errors(package: Package) -> frozenset[str]:
    """OpsError and the classes below it."""
    below: Mapping[str, set[str]] = {
        node.name: {last_name(base) for base in node.bases}
        for module in package
        for node in module.nodes
        if isinstance(node, ast.ClassDef)
    }
    found = {ERROR}
    while more := {name for name, bases in below.items() if bases & found} - found:
        found |= more
    return frozenset(found)
