"""Whether a stack has one host or several: a question that `Kind`, `Places` and the engine answer."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.house.source import Module, Package, Place, last_name

ROOMS = (
    "engines/", "hosts/", "cli/hosts/", "render/swarm.py", "catalogue/",
    "spec/machines.py", "spec/ports.py", "stack/places.py", "stack/service.py",
)  # fmt: skip
"""Where several hosts are the subject, and those who answer: engines, places, and the catalogue, whose data
says which alerts, dashboards and steps of a runbook are of several hosts alone."""
_VALUES = frozenset({"machines", "machine", "HERE"})
_CALLS = frozenset({"machines", "machines_of", "noted_machines", "on_several"})
_SPEC = re.compile(r"_?spec")
_FLAG = re.compile(
    r"_?((is|has|on|in|of|with|spans|needs|runs_on|may_have)_)?"
    r"(several|many|multiple|plural|swarm|clustered|spread|distributed|one_host)(_(hosts|machines|nodes))?",
    re.IGNORECASE,
)


def machine_tests(package: Package) -> Iterator[Place]:
    """Questions whether a stack has one host or several, in any spelling, outside the rooms of several hosts.

    Counted are conditions: the test of an `if`, `while`, `assert` or comprehension, what `and`, `or` and
    `not` take, a comparison, the subject of a `match` and the argument of `bool`. They ask where what they
    test is the machines of a stack (`X.machines`, `machines_of(spec)`), the hosts of a spec, the machine of a
    service, the note of a stack's machines, how many of these there are, a flag that is called after them, or
    a name, property or function that was given or returns one of these. Going through them is no question: on
    one host there are none. Nor is how many services of a kind there are, as long as it is about these.
    """
    asking = frozenset(name for module in package for name in _answering(module))
    for module in package:
        if not module.path.startswith(ROOMS):
            lines = {node.lineno: node for node in _asked(module, asking)}
            texts = module.text.splitlines()
            for line in sorted(lines):
                yield module.place(lines[line], texts[line - 1].strip()[:90])


def _answering(module: Module) -> Iterator[str]:
    """Names of functions and properties all of whose answers are the question's."""
    for node in module.nodes:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        aliases = _aliases(node)
        returned = [each.value for each in ast.walk(node) if isinstance(each, ast.Return) and each.value]
        answers = [value for value in returned if _answer(value, aliases)]
        if answers and all(value in answers or _constant(value) for value in returned):
            yield node.name


def _answer(node: ast.expr, aliases: frozenset[str]) -> bool:
    """Whether it is true or false by the machines, and by nothing else."""
    match node:
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return _is_value(operand, aliases)
        case ast.Call(func=ast.Name(id="bool"), args=[operand]):
            return _is_value(operand, aliases)
        case ast.Compare(left=left, comparators=comparators):
            return any(_is_value(side, aliases) for side in (left, *comparators)) and _counts(node)
        case _:
            return _note(node)


def _constant(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, bool)


def _asked(module: Module, asking: frozenset[str]) -> Iterator[ast.expr]:
    for scope in module.nodes:
        if isinstance(scope, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef):
            aliases = _aliases(scope)
            for node in _within(scope):
                for tested in _tested(node):
                    if _is_value(tested, aliases) or last_name(_called(tested)) in asking:
                        yield tested


def _within(scope: ast.AST) -> Iterator[ast.AST]:
    """All below `scope` but what is in a function of its own."""
    for child in ast.iter_child_nodes(scope):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _within(child)


def _tested(node: ast.AST) -> list[ast.expr]:
    match node:
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test) | ast.Assert(test=test):
            return [test]
        case ast.comprehension(ifs=ifs):
            return ifs
        case ast.BoolOp(values=values):
            return values
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return [operand]
        case ast.Compare(left=left, comparators=comparators):
            return [left, *comparators] if _counts(node) else []
        case ast.Match(subject=subject):
            return [subject]
        case ast.Call(func=ast.Name(id="bool"), args=[operand]):
            return [operand]
        case _:
            return []


def _counts(node: ast.Compare) -> bool:
    """Whether it compares with nothing, HERE, a number or another count, and does not look a name up."""
    others = [
        each
        for each in (node.left, *node.comparators)
        if isinstance(each, ast.Constant | ast.Tuple | ast.Call)
    ]
    here = any(last_name(each) == "HERE" for each in (node.left, *node.comparators))
    return (bool(others) or here) and not any(isinstance(op, ast.In | ast.NotIn) for op in node.ops)


def _aliases(scope: ast.AST) -> frozenset[str]:
    """Names that were given such a value, and flags."""
    found: set[str] = set()
    if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
        arguments = scope.args
        for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            number = each.arg == "hosts" and last_name(each.annotation) == "int"
            if each.arg in _VALUES or _FLAG.fullmatch(each.arg) or number:
                found.add(each.arg)
    before = -1
    while len(found) > before:  # an alias of an alias
        before = len(found)
        for node in _within(scope):
            match node:
                case ast.Assign(targets=targets, value=value):
                    pairs = [pair for target in targets for pair in _pairs(target, value)]
                case (
                    ast.AnnAssign(target=target, value=ast.expr() as value)
                    | ast.NamedExpr(target=target, value=value)
                ):
                    pairs = [(target, value)]
                case _:
                    continue
            for target, given in pairs:
                if isinstance(target, ast.Name) and (
                    _is_value(given, frozenset(found)) or _answer(given, frozenset(found))
                ):
                    found.add(target.id)
    return frozenset(found)


def _pairs(target: ast.expr, value: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        return list(zip(target.elts, value.elts, strict=False))
    return [(target, value)]


def _is_value(node: ast.expr, aliases: frozenset[str]) -> bool:
    """Whether it is the machines of a stack, one service's, or how many they are."""
    match node:
        case ast.Name(id=name):
            return name in aliases or _FLAG.fullmatch(name) is not None
        case ast.NamedExpr(value=value):
            return _is_value(value, aliases)
        case ast.Attribute(attr="hosts", value=value):
            return _SPEC.fullmatch(last_name(value)) is not None or last_name(value) == "self"
        case ast.Subscript(slice=ast.Constant(value=str() as name)):
            return name in _VALUES
        case ast.Attribute(attr=name):
            return name in _VALUES or _FLAG.fullmatch(name) is not None
        case ast.Call(func=ast.Name(id="len" | "bool" | "tuple" | "list"), args=[inner]):
            return _is_value(inner, aliases)
        case ast.Call():
            return last_name(node.func) in _CALLS or _note(node)
        case _:
            return False


def _note(node: ast.expr) -> bool:
    """Whether it asks whether the note of a stack's machines is there."""
    return isinstance(node, ast.Call) and any(
        isinstance(each, ast.Attribute) and each.attr == "machines_note" for each in ast.walk(node.func)
    )


def _called(node: ast.expr) -> ast.expr:
    return node.func if isinstance(node, ast.Call) else node
