"""Who imports whom: circles, and commands that import commands."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from tests.house.source import NAME, Module, Package, Place, import_base, last_name


def import_circles(package: Package) -> Iterator[Place]:
    """Modules that lead back to themselves, each with the circle.

    Every import counts: at the top, in a function, and for types alone, since whoever reads the one has to
    read the other.
    """
    graph = {module.name: frozenset(target for _, target in imported(module, package)) for module in package}
    for circle in _circles(graph):
        for name in circle:
            module = package.modules[name]
            others = [(node, target) for node, target in imported(module, package) if target in circle]
            yield module.place(others[0][0], "in a circle with " + ", ".join(sorted({t for _, t in others})))


def imported(module: Module, package: Package) -> Iterator[tuple[ast.AST, str]]:
    """Modules of the package that `module` imports anywhere, with the statement.

    The packages above an imported module are run as well, but are no knowledge of it: they do not count.
    """
    for node in module.nodes:
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = import_base(module, node)
            below = {alias.name: f"{base}.{alias.name}" for alias in node.names}
            found = [full if full in package.modules else base for full in below.values()]
        elif isinstance(node, ast.Call) and last_name(node.func) == "import_module" and node.args:
            found = [str(node.args[0].value)] if isinstance(node.args[0], ast.Constant) else []
        else:
            continue
        yield from (
            (node, name) for name in dict.fromkeys(found) if name in package.modules and name != module.name
        )


def _circles(graph: Mapping[str, frozenset[str]]) -> list[frozenset[str]]:
    """Strongly connected components of more than one module, by Tarjan's algorithm (1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[frozenset[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for target in graph[name]:
            if target not in index:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], index[target])
        if low[name] == index[name]:
            start = stack.index(name)
            members = frozenset(stack[start:])
            del stack[start:]
            if len(members) > 1:
                found.append(members)

    for name in graph:
        if name not in index:
            visit(name)
    return found


def commands_imported(package: Package) -> Iterator[Place]:
    """Imports of a command's module: only the table of commands names them.

    What two commands share stands in a module that is no command. A command that is a folder may import
    what lies in it, as that may import the folder's.
    """
    commands = frozenset(command_modules(package))
    for module in package:
        for node, target in imported(module, package):
            if target in commands and not module.name.startswith(f"{target}."):
                yield module.place(node, f"imports the command {target.removeprefix(NAME + '.')}")


def command_modules(package: Package) -> Iterator[str]:
    """Modules of the commands, as the table `COMMANDS` has them."""
    for module in package:
        if module.room != "cli":
            continue
        for node in module.nodes:
            if isinstance(node, ast.Call) and last_name(node.func) == "LazyEntry" and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield f"{NAME}.cli.{first.value}"
