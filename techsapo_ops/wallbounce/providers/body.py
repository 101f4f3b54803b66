"""Bodies of requests, built from tables: what is always sent, what is added, and where the values go."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any


class Slot(Enum):
    """What a table of a body leaves open."""

    MODEL = auto()
    SYSTEM = auto()
    USER = auto()
    LIMIT = auto()
    NAME = auto()
    SCHEMA = auto()


MODEL, SYSTEM, USER, LIMIT, NAME, SCHEMA = Slot


def placed(place: str, value: Any) -> dict[str, Any]:
    """`value` as a part of a body at `place`, such as `reasoning.effort`."""
    part = value
    for key in reversed(place.split(".")):
        part = {key: part}
    return dict(part)


def merged(body: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """`body` with what `extra` has more; a mapping in both is merged in its turn."""
    both = dict(body)
    for key, value in extra.items():
        held = both.get(key)
        if isinstance(held, Mapping) and isinstance(value, Mapping):
            value = merged(held, value)
        both[key] = value
    return both


def filled(node: Any, values: Mapping[Slot, Any]) -> Any:
    """A table with `values` in its slots."""
    if isinstance(node, Slot):
        return values[node]
    if isinstance(node, Mapping):
        return {key: filled(value, values) for key, value in node.items()}
    return [filled(value, values) for value in node] if isinstance(node, list) else node
