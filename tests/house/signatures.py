"""Functions that take too much."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.house.source import Module, Package, Place, functions, last_name

MOST = 6
Function = ast.FunctionDef | ast.AsyncFunctionDef


def long_signatures(package: Package) -> Iterator[Place]:
    """Public functions and methods with more than six parameters, outside commands of the CLI.

    `self` and `cls` are not counted, `*args` and `**kwargs` are one each. A constructor that somebody wrote
    is a method like others; fields of a dataclass or a model are not: a record may be wide. A command is what
    Typer calls: one of its parameters is declared to be an option or an argument.
    """
    for module in package:
        for owner, function in functions(module):
            private = function.name.startswith("_") and function.name != "__init__"
            if private or (owner is not None and owner.name.startswith("_")):
                continue
            if module.room == "cli" and _is_command(module, function):
                continue
            count = len(parameters(function, method=owner is not None))
            if count > MOST:
                name = function.name if owner is None else f"{owner.name}.{function.name}"
                yield module.place(function, f"{name} takes {count}")


def parameters(function: Function, *, method: bool) -> list[ast.arg]:
    """What a caller gives to `function`."""
    given = function.args
    bound = method and not any(last_name(d) == "staticmethod" for d in function.decorator_list)
    found = [*given.posonlyargs, *given.args][1 if bound else 0 :]
    return [*found, *given.kwonlyargs, *(a for a in (given.vararg, given.kwarg) if a is not None)]


def _is_command(module: Module, function: Function) -> bool:
    if any(
        last_name(d.func) in {"command", "callback"}
        for d in function.decorator_list
        if isinstance(d, ast.Call)
    ):
        return True
    declared = {"Option", "Argument"} | {
        alias.asname or alias.name
        for node in module.nodes
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("techsapo_ops.cli")
        for alias in node.names
        if alias.name.endswith(("Option", "Argument"))
    }
    return any(
        declared & {last_name(part) for part in ast.walk(argument.annotation)}
        for argument in parameters(function, method=False)
        if argument.annotation is not None
    )
