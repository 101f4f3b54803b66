"""Which kinds of service and which engine the package names, and where."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import chain

from tests.house.source import Module, Package, Place, is_text, last_name

KINDS = frozenset(
    (
        "app", "nginx", "redis", "sentinel", "mysql", "prometheus", "alertmanager", "grafana", "scheduler",
        "node-exporter", "redis-exporter", "mysqld-exporter", "nginx-exporter",
        "blackbox-exporter", "keepalived",
    )
)  # fmt: skip
"""Those of the registry; a test binds them."""
ENGINES = frozenset({"native", "compose", "swarm"})
PLACES = "stack/places.py"
HOSTS_RULE = "spec/machines.py"

_ENGINE_VALUE = re.compile(r"(?!by_)_?([a-z]+_)*engine(_?name)?", re.IGNORECASE)
_ENGINE_WORD = r"(native|compose|swarm|docker|container(s|ised|ized)?)"
_ENGINE_FACT = re.compile(
    rf"_?(is|uses|on|in|runs|runs_in|under|within|with|for|has)_{_ENGINE_WORD}|containeri[sz]ed|contained",
    re.IGNORECASE,
)
_ENGINE_FLAG = re.compile(
    rf"_?((is|uses|on|in|runs_in|has)_)?{_ENGINE_WORD}(_engine|_mode)?|contained", re.IGNORECASE
)
_KEYED = frozenset({"get", "pop", "setdefault", "index", "startswith", "endswith", "__eq__", "__contains__"})


_ASKING = (
    ast.Compare, ast.Match, ast.Call, ast.Dict, ast.Subscript, ast.FunctionDef, ast.AsyncFunctionDef, ast.arg,
    ast.AnnAssign, ast.Attribute, ast.If, ast.IfExp, ast.While, ast.BoolOp, ast.UnaryOp,
)  # fmt: skip


def kind_names(package: Package) -> Iterator[Place]:
    """Strings that are the name of a kind of service, or nothing but such names, outside services/ and spec/.

    The `app` in the command table is no kind: each group of commands is a Typer of that name.
    """
    for module in package:
        if module.room in {"services", "spec"}:
            continue
        for node in module.strings:
            words = re.split(r"[\s,|]+", str(node.value).strip())
            if all(word in KINDS for word in words) and not _entry(module.parents[node]):
                yield module.place(node, repr(node.value))


def _entry(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and last_name(node.func) == "LazyEntry"


def engine_tests(package: Package) -> Iterator[Place]:
    """Questions which engine runs, in any spelling, outside engines/.

    Counted: a comparison or a `match` with an engine's name or of a value called `engine` (unless with
    None); isinstance, issubclass, `type(…) is` and `case` of a class that engines/ defines for one engine,
    and hasattr of an engine; a dict by engines' names and a look-up in one; a function, value or flag that
    is called after one engine and holds or answers yes or no; whether something has a container. Not counted
    is stack/places.py, where what differs between the engines is said once and found by an engine's name, and
    the rule that a spec's `engine` and its `hosts` belong together.
    """
    classes = frozenset(engine_classes(package))
    for module in package:
        if module.room != "engines" and module.path not in {PLACES, HOSTS_RULE}:
            asking = (node for node in module.nodes if isinstance(node, _ASKING))
            found = {place for node in asking for place in _asked(module, node, classes)}
            yield from sorted(found)


def engine_classes(package: Package) -> Iterator[str]:
    """Classes that belong to one engine."""
    for module in package:
        parts = module.path.split("/")
        own = module.room == "engines" and any(part.removesuffix(".py") in ENGINES for part in parts[1:])
        for node in module.nodes:
            if not isinstance(node, ast.ClassDef):
                continue
            of_places = module.path == PLACES and node.name != "Places"
            if own or of_places or _engine_class(node.name):
                yield node.name


def _engine_class(name: str) -> bool:
    return re.match(r"_?(Native|Compose|Swarm)[A-Z]", name) is not None and name.endswith(("Engine", "Stack"))


def _asked(module: Module, node: ast.AST, classes: frozenset[str]) -> Iterator[Place]:
    """What `node` asks about an engine."""
    said = _said(node, classes)
    if said is None and module.room != "spec" and _tests_container(node):
        said = "container"
    if said is not None:
        yield module.place(node, f"{said}: {_short(module, node)}")


def _said(node: ast.AST, classes: frozenset[str]) -> str | None:
    match node:
        case ast.Compare():
            return _compared([node.left, *node.comparators], classes)
        case ast.Match():
            names = [
                p.value
                for case in node.cases
                for p in ast.walk(case.pattern)
                if isinstance(p, ast.MatchValue)
            ]
            kinds = [
                p.cls for case in node.cases for p in ast.walk(case.pattern) if isinstance(p, ast.MatchClass)
            ]
            if _is_engine(node.subject) or any(map(_names_engine, names)):
                return "match"
            return "match" if any(last_name(kind) in classes for kind in kinds) else None
        case ast.Call():
            return _called(node, classes)
        case ast.Dict(keys=keys):
            return "dict" if any(map(_names_engine, keys)) else None
        case ast.Subscript(slice=index):
            if (
                isinstance(node.ctx, ast.Load)
                and last_name(node.value) not in {"Literal"}
                and (_names_engine(index) or _is_engine(index))
            ):
                return "look-up"
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return "function" if _ENGINE_FACT.fullmatch(name) and _is_bool(node.returns) else None
        case ast.arg(arg=name, annotation=annotation):
            return "flag" if _ENGINE_FLAG.fullmatch(name) and _is_bool(annotation) else None
        case ast.AnnAssign(target=target, annotation=annotation):
            return "flag" if _ENGINE_FLAG.fullmatch(last_name(target)) and _is_bool(annotation) else None
        case ast.Attribute(attr=name):
            return "attribute" if _ENGINE_FACT.fullmatch(name) else None
    return None


def _tests_container(node: ast.AST) -> bool:
    """Whether it asks whether something has a container, which only one engine's has."""
    match node:
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
            asked = [test]
        case ast.BoolOp(values=[_, ast.Constant()]):
            return False  # `x.container or None` is told as it is
        case ast.BoolOp(values=values):
            asked = values
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            asked = [operand]
        case _:
            return False
    return any(isinstance(one, ast.Attribute) and one.attr in {"container", "containers"} for one in asked)


def _compared(sides: list[ast.expr], classes: frozenset[str]) -> str | None:
    if any(isinstance(side, ast.Constant) and side.value is None for side in sides):
        return None
    leaves = list(chain.from_iterable(map(_leaves, sides)))
    if any(_names_engine(leaf) or _is_engine(leaf) for leaf in leaves):
        return "comparison"
    return (
        "comparison" if any(last_name(leaf) in classes or _text(leaf) in classes for leaf in leaves) else None
    )


def _leaves(node: ast.expr) -> list[ast.expr]:
    return list(node.elts) if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]


def _called(node: ast.Call, classes: frozenset[str]) -> str | None:
    name = last_name(node.func)
    if name in {"isinstance", "issubclass"} and len(node.args) == 2:
        asked = [node.args[1]]
        if isinstance(node.args[1], ast.BinOp):
            asked = [n for n in ast.walk(node.args[1]) if isinstance(n, ast.Name | ast.Attribute)]
        return name if any(last_name(leaf) in classes for side in asked for leaf in _leaves(side)) else None
    if (
        name == "hasattr"
        and node.args
        and re.fullmatch(r"_?(engine|running|access)", last_name(node.args[0]))
    ):
        return name
    if isinstance(node.func, ast.Attribute) and name in _KEYED and node.args:
        key = node.args[0]
        return f".{name}()" if any(map(_names_engine, _leaves(key))) or _is_engine(key) else None
    return None


def _names_engine(node: ast.AST | None) -> bool:
    """Whether it is an engine's name: a string, NATIVE or Engine.NATIVE."""
    return _text(node) in ENGINES or (last_name(node).isupper() and last_name(node).lower() in ENGINES)


def _is_engine(node: ast.AST | None) -> bool:
    """Whether it is a value called `engine`, or its name."""
    if isinstance(node, ast.Attribute) and node.attr in {"name", "kind", "value"}:
        return _ENGINE_VALUE.fullmatch(last_name(node.value)) is not None
    return _ENGINE_VALUE.fullmatch(last_name(node)) is not None


def _text(node: ast.AST | None) -> str:
    return str(node.value) if isinstance(node, ast.Constant) and is_text(node) else ""


def _is_bool(annotation: ast.AST | None) -> bool:
    return annotation is not None and "bool" in {last_name(n) for n in ast.walk(annotation)}


def _short(module: Module, node: ast.AST) -> str:
    line = module.text.splitlines()[getattr(node, "lineno", 1) - 1].strip()
    return line if len(line) <= 90 else line[:87] + "…"


def redis_files(package: Package) -> Iterator[Place]:
    """Files that name Redis in a name, a string or an import, outside services/redis, stores/ and spec/.

    Prose does not count: comments and docstrings may take it as their example.
    """
    for module in package:
        if module.room in {"spec", "stores"} or module.path.startswith(
            ("services/redis/", "services/redis.py")
        ):
            continue
        named = next(_redis(module), None)
        if named is not None:
            yield named


def _redis(module: Module) -> Iterator[Place]:
    if "redis" not in module.text.lower() + module.path.lower():
        return
    if "redis" in module.path.lower():
        yield Place(module.path, 1, "its own name")
    for node in sorted(module.nodes, key=lambda n: getattr(n, "lineno", 0)):
        fields = (
            getattr(node, name, None) for name in ("id", "attr", "name", "arg", "module", "asname", "rest")
        )
        for name in fields:
            if isinstance(name, str) and "redis" in name.lower():
                yield module.place(node, name)
    yield from (
        module.place(s, repr(s.value)[:60]) for s in module.strings if "redis" in str(s.value).lower()
    )
