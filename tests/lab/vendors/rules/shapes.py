"""Shapes of requests: which fields there are and what each may hold, compiled once from a table.

A shape is a map of fields. What a field may hold is written in one line:

    string, integer, number, boolean, object, any   a kind of JSON value
    integer>=16    a number that is no smaller
    =low|high      one of these texts
    Message        another shape
    Message*       a list of them
    {Schema}       a map of any names to them
    a or b         one or the other
    a?             or null
    a!             and it has to be there

A shape with `by` has fields of its own for each value of the field that `by` names, in `kinds`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]
Check = Callable[[Any, Path], Iterator["Broken"]]
_LIMIT = re.compile(r"(integer|number)>=(-?\d+)")
_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
}


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that a request breaks: `what` is unknown, missing, type, value or least."""

    what: str
    path: Path
    given: Any = None
    takes: tuple[str, ...] = ()
    """The kinds, values or bound that are taken in its place."""

    @property
    def name(self) -> str:
        """The field."""
        return str(self.path[-1])

    @property
    def dotted(self) -> str:
        """Where it is, as most vendors write it: text.format.schema, input[0].content."""
        return dotted(self.path)


def dotted(path: Path) -> str:
    """`path` as text."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _same(name: str) -> str:
    return name


class Shapes:
    """The shapes of one table. `spelling` turns a field's name in a request into the table's."""

    def __init__(self, table: Mapping[str, Any], spelling: Callable[[str], str] = _same) -> None:
        self._spelling = spelling
        self._checks: dict[str, Check] = {}
        for name, fields in table.items():
            self._checks[name] = self._kinds(fields) if "by" in fields else self._fields(fields)

    def broken(self, shape: str, body: Any) -> Iterator[Broken]:
        """What `body` breaks of the shape of that name."""
        yield from self._checks[shape](body, ())

    def _fields(self, fields: Mapping[str, str]) -> Check:
        known = {name: self._check(held.rstrip("!")) for name, held in fields.items()}
        required = [name for name, held in fields.items() if held.endswith("!")]

        def check(value: Any, path: Path) -> Iterator[Broken]:
            if not isinstance(value, dict):
                yield Broken("type", path, value, ("object",))
                return
            spelt = {self._spelling(name): name for name in value}
            for name, given in value.items():
                inner = known.get(self._spelling(name))
                if inner is None:
                    yield Broken("unknown", (*path, name), given)
                else:
                    yield from inner(given, (*path, name))
            for name in required:
                if name not in spelt:
                    yield Broken("missing", (*path, name))

        return check

    def _kinds(self, table: Mapping[str, Any]) -> Check:
        by = table["by"]
        kinds = {name: self._fields({by: "any", **fields}) for name, fields in table["kinds"].items()}

        def check(value: Any, path: Path) -> Iterator[Broken]:
            if not isinstance(value, dict):
                yield Broken("type", path, value, ("object",))
            elif by not in value:
                yield Broken("missing", (*path, by))
            elif value[by] not in kinds:
                yield Broken("value", (*path, by), value[by], tuple(kinds))
            else:
                yield from kinds[value[by]](value, path)

        return check

    def _check(self, held: str) -> Check:
        if held.endswith("?"):
            inner = self._check(held[:-1])
            return lambda value, path: iter(()) if value is None else inner(value, path)
        if " or " in held:
            return _either([self._check(one) for one in held.split(" or ")])
        if held == "any":
            return lambda value, path: iter(())
        if held.startswith("="):
            return _one_of(tuple(held[1:].split("|")))
        if limit := _LIMIT.fullmatch(held):
            return _at_least(limit[1], int(limit[2]))
        if held in _KINDS:
            return _kind(held)
        if held.endswith("*"):
            return _list_of(self._check(held[:-1]))
        if held.startswith("{"):
            return _map_of(self._check(held[1:-1]))
        return lambda value, path: self._checks[held](value, path)


def _kind(name: str) -> Check:
    def check(value: Any, path: Path) -> Iterator[Broken]:
        if not isinstance(value, _KINDS[name]) or (isinstance(value, bool) and name != "boolean"):
            yield Broken("type", path, value, (name,))

    return check


def _one_of(values: tuple[str, ...]) -> Check:
    def check(value: Any, path: Path) -> Iterator[Broken]:
        if value not in values:
            yield Broken("value", path, value, values)

    return check


def _at_least(kind: str, least: int) -> Check:
    is_kind = _kind(kind)

    def check(value: Any, path: Path) -> Iterator[Broken]:
        wrong = list(is_kind(value, path))
        if not wrong and value < least:
            wrong = [Broken("least", path, value, (str(least),))]
        yield from wrong

    return check


def _list_of(inner: Check) -> Check:
    def check(value: Any, path: Path) -> Iterator[Broken]:
        if not isinstance(value, list):
            yield Broken("type", path, value, ("array",))
            return
        for number, one in enumerate(value):
            yield from inner(one, (*path, number))

    return check


def _map_of(inner: Check) -> Check:
    def check(value: Any, path: Path) -> Iterator[Broken]:
        if not isinstance(value, dict):
            yield Broken("type", path, value, ("object",))
            return
        for number, one in enumerate(value.values()):
            yield from inner(one, (*path, number, "value"))

    return check


def _either(checks: list[Check]) -> Check:
    def check(value: Any, path: Path) -> Iterator[Broken]:
        told = [list(one(value, path)) for one in checks]
        if all(told):
            # The alternative that at least the kind of value fits says best what is wrong.
            told.sort(key=lambda broken: broken[0].what == "type" and broken[0].path == path)
            yield from told[0]

    return check
