"""Functions that take too much, and classes that only hide how much one takes."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.house.source import Module, Package, Place, functions, import_base, last_name

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


@dataclass
class _Use:
    """What the package does with one dataclass."""

    taken: set[tuple[str, str]] = field(default_factory=set)
    """Module and name of each function with a parameter of it; for a constructor the name of its class."""
    given: set[str] = field(default_factory=set)
    """What a new one is given to at once: names of functions, or `.name` of its own methods."""
    made: int = 0
    kept: bool = False
    """Stored, returned, part of something else, or told from another class."""


def argument_bags(package: Package) -> Iterator[Place]:
    """Dataclasses made only to carry one function's arguments.

    Such a class is always made as the argument of one and the same function or constructor (or in a name used
    for nothing else), only that takes it, besides private ones of its module; nothing returns it, no field
    is declared to hold it, and it has no public method of its own. A class whose every instance is asked one
    and the same method at once, `Job(…).run()`, is such a function too, where it has no other public method;
    within one module a `_Job` may be: that splits a long function.
    """
    classes = {f"{module.name}.{node.name}": (module, node) for module, node in _dataclasses(package)}
    uses: dict[str, _Use] = defaultdict(_Use)
    scopes = {module.name: _scope(module) for module in package}
    for module in package:
        _note(module, scopes, classes.keys(), uses)
    for full, (module, node) in sorted(classes.items()):
        name, use, methods = node.name, uses[full], _methods(node)
        if use.kept or not use.made or len(use.given) != 1:
            continue
        target = next(iter(use.given))
        taken = {function for function in use.taken if function[1] != "__post_init__"}
        public = [t for t in taken if not t[1].startswith("_")]
        if target.startswith("."):
            if not taken and methods == {target[1:]} and not name.startswith("_"):
                yield module.place(node, f"{name}(…){target}() is one call")
        elif (
            not methods
            and target in {t[1] for t in taken}
            and len({t[0] for t in taken}) == 1
            and len(public) <= 1
        ):
            yield module.place(node, f"{name} is what {target}() takes")


def _dataclasses(package: Package) -> Iterator[tuple[Module, ast.ClassDef]]:
    for module in package:
        for node in module.nodes:
            if isinstance(node, ast.ClassDef) and _carries(node):
                yield module, node


def _carries(node: ast.ClassDef) -> bool:
    marks = [d.func if isinstance(d, ast.Call) else d for d in node.decorator_list]
    records = {"NamedTuple", "TypedDict"}
    return any(last_name(mark) == "dataclass" for mark in marks) or any(
        last_name(b) in records for b in node.bases
    )


def _methods(node: ast.ClassDef) -> set[str]:
    return {
        part.name
        for part in node.body
        if isinstance(part, Function)
        and not part.name.startswith("_")
        and not any(last_name(mark) in {"property", "cached_property"} for mark in part.decorator_list)
    }


def _scope(module: Module) -> Mapping[str, str]:
    """What a name of the module means: a class of its own, or what it imports, in full."""
    own = {node.name: f"{module.name}.{node.name}" for node in module.nodes if isinstance(node, ast.ClassDef)}
    for node in module.nodes:
        if isinstance(node, ast.ImportFrom):
            base = import_base(module, node)
            own |= {alias.asname or alias.name: f"{base}.{alias.name}" for alias in node.names}
    return own


def _meant(
    name: str, module: Module, scopes: Mapping[str, Mapping[str, str]], classes: Collection[str]
) -> str:
    """The full name of the class that `name` is in `module`, also by way of a package; empty for none."""
    first, _, rest = name.partition(".")
    full = scopes[module.name].get(first, "") + (f".{rest}" if rest else "")
    for _ in range(3):
        if not full or full in classes:
            return full
        holder, _, last = full.rpartition(".")
        full = scopes.get(holder, {}).get(last, "")
    return ""


def _dotted(node: ast.AST) -> str:
    """`a.b.c` as it is written; empty for anything else."""
    if isinstance(node, ast.Attribute):
        above = _dotted(node.value)
        return f"{above}.{node.attr}" if above else ""
    return node.id if isinstance(node, ast.Name) else ""


def _note(
    module: Module, scopes: Mapping[str, Mapping[str, str]], classes: Collection[str], uses: dict[str, _Use]
) -> None:
    """Note every use of the `classes` in `module`."""
    for node in module.nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if named := _meant(node.value, module, scopes, classes):
                uses[named].kept = True  # an annotation in quotes, or a look-up
            continue
        named = _meant(_dotted(node), module, scopes, classes)
        if not named or not isinstance(getattr(node, "ctx", None), ast.Load):
            continue
        use, above = uses[named], module.parents[node]
        if isinstance(above, ast.Call) and above.func is node:
            use.made += 1
            target = _given(module, above)
            if target is None:
                use.kept = True
            else:
                use.given.add(target)
        elif isinstance(above, ast.Attribute):
            continue  # a class method, which the class itself defines
        elif (function := _annotates(module, node)) is not None:
            owner = module.parents[function]
            made = function.name == "__init__" and isinstance(owner, ast.ClassDef)
            use.taken.add((module.name, owner.name if made else function.name))
        else:
            use.kept = True


def _annotates(module: Module, node: ast.AST) -> Function | None:
    """The function one of whose parameters is a `node` or a `node | None`."""
    above = module.parents[node]
    while isinstance(above, ast.BinOp):
        above = module.parents[above]
    if not isinstance(above, ast.arg):
        return None
    function = module.parents[module.parents[above]]
    return function if isinstance(function, Function) else None


def _given(module: Module, made: ast.Call) -> str | None:
    """The one function that the new value is given to; None where it goes anywhere else."""
    above = module.parents[made]
    if isinstance(above, ast.keyword):
        above = module.parents[above]
    if isinstance(above, ast.Call):
        return last_name(above.func) or None
    if isinstance(above, ast.Attribute):
        called = module.parents[above]
        return f".{above.attr}" if isinstance(called, ast.Call) and called.func is above else None
    if isinstance(above, ast.Assign) and len(above.targets) == 1 and isinstance(above.targets[0], ast.Name):
        return _only_use(module, made, above.targets[0].id)
    return None


def _only_use(module: Module, made: ast.AST, name: str) -> str | None:
    """The function that the local `name` is given to, where nothing else is done with it."""
    scope = module.parents[made]
    while not isinstance(scope, Function | ast.Module):
        scope = module.parents[scope]
    targets: Sequence[str | None] = [
        _target(module, node)
        for node in ast.walk(scope)
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
    ]
    return targets[0] if targets and len(set(targets)) == 1 else None


def _target(module: Module, node: ast.AST) -> str | None:
    above = module.parents[node]
    if isinstance(above, ast.keyword):
        above = module.parents[above]
    if isinstance(above, ast.Call) and above.func is not node:
        return last_name(above.func) or None
    if isinstance(above, ast.Attribute) and isinstance(module.parents[above], ast.Call):
        return f".{above.attr}"
    return None
