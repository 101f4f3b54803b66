"""The package's source, parsed once for all counters; made-up source for the counters' own tests."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

NAME = "techsapo_ops"
ROOT = Path(__file__).parents[2] / NAME


@dataclass(frozen=True, order=True)
class Place:
    """Something that a counter counted."""

    path: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{NAME}/{self.path}:{self.line}: {self.what}"


@dataclass(frozen=True)
class Module:
    """One file of the package; `path` starts below the package's folder."""

    path: str
    text: str

    @property
    def room(self) -> str:
        """The folder or file right below the package, such as `cli`."""
        return self.path.partition("/")[0].removesuffix(".py")

    @cached_property
    def name(self) -> str:
        """As it is imported."""
        dotted = self.path.removesuffix(".py").replace("/", ".")
        return f"{NAME}.{dotted}".removesuffix(".__init__")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node of the tree."""
        return tuple(ast.walk(self.tree))

    @cached_property
    def parents(self) -> Mapping[ast.AST, ast.AST]:
        """The node above each node."""
        return {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}

    @cached_property
    def docstrings(self) -> tuple[ast.Constant, ...]:
        """Every string that stands as a statement: docstrings, and those below a constant or a field."""
        return tuple(
            node.value
            for node in self.nodes
            if isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        )

    @cached_property
    def strings(self) -> tuple[ast.Constant, ...]:
        """Every string that is no docstring; those of an f-string piece by piece."""
        prose = set(map(id, self.docstrings))
        return tuple(
            node
            for node in self.nodes
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
        )

    def place(self, node: ast.AST, what: str) -> Place:
        return Place(self.path, getattr(node, "lineno", 1), what)


@dataclass(frozen=True)
class Package:
    """All modules by their dotted name."""

    modules: Mapping[str, Module]

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> Package:
        """Made of texts by path, such as `cli/ask.py`."""
        made = (Module(path, text) for path, text in sorted(texts.items()))
        return cls({module.name: module for module in made})

    def __iter__(self) -> Iterator[Module]:
        return iter(self.modules.values())


@cache
def package() -> Package:
    """This checkout's."""
    files = sorted(ROOT.rglob("*.py"))
    return Package.of({str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in files})


def functions(module: Module) -> Iterator[tuple[ast.ClassDef | None, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function of the module and method of its classes, with the class; none within a function."""

    def of(
        body: list[ast.stmt], owner: ast.ClassDef | None
    ) -> Iterator[tuple[ast.ClassDef | None, ast.FunctionDef | ast.AsyncFunctionDef]]:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield owner, node
            elif isinstance(node, ast.ClassDef):
                yield from of(node.body, node)
            elif isinstance(node, ast.If | ast.Try):
                yield from of([*node.body, *node.orelse], owner)

    return of(module.tree.body, None)


def import_base(module: Module, node: ast.ImportFrom) -> str:
    """The module from which `node` imports, in full."""
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    keep = len(parts) - node.level + module.path.endswith("__init__.py")
    return ".".join([*parts[:keep], *([node.module] if node.module else [])])


def last_name(node: ast.AST | None) -> str:
    """`c` of `a.b.c` and of `c`; empty for anything else."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def is_text(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
