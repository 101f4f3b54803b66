"""Walks the spec's model by path: which type stands where, which keys it knows, where secrets are."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.problems import Path
from techsapo_ops.spec.secret import Secret

Section = type[BaseModel]


@dataclass(frozen=True, slots=True)
class Shape:
    """One type of the model, without its wrappers.

    Exactly one of `models`, `entries`, `items` is set for a section (several where `kind` chooses), a
    mapping by name and a list; a plain value has none of them and `type` is its Python type.
    """

    type: Any
    nullable: bool = False
    constraints: tuple[Any, ...] = ()
    models: tuple[Section, ...] = ()
    entries: Any = None
    items: Any = None

    @property
    def container(self) -> bool:
        """Whether keys or entries stand below it."""
        return bool(self.models) or self.entries is not None or self.items is not None

    def model(self, data: object) -> Section | None:
        """The section that `data` is an instance of; None while its `kind` is missing or unknown."""
        if len(self.models) == 1:
            return self.models[0]
        kind = data.get("kind") if isinstance(data, Mapping) else None
        return next((m for m in self.models if kind in literals(m.model_fields["kind"].annotation)), None)


def shape(annotation: Any, metadata: tuple[Any, ...] = ()) -> Shape:
    """Take the wrappers (Annotated, Optional, dict, tuple, unions of sections) off an annotation."""
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin is typing.Annotated:
        return shape(arguments[0], (*metadata, *arguments[1:]))
    if origin in {types.UnionType, typing.Union}:
        real = [a for a in arguments if a is not type(None)]
        if len(real) == 1:
            inner = shape(real[0], metadata)
            return Shape(inner.type, True, inner.constraints, inner.models, inner.entries, inner.items)
        return Shape(annotation, constraints=metadata, models=tuple(real))
    if origin is dict:
        return Shape(annotation, constraints=metadata, entries=arguments[1])
    if origin in {tuple, list}:
        return Shape(annotation, constraints=metadata, items=arguments[0])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return Shape(annotation, constraints=metadata, models=(annotation,))
    return Shape(annotation, constraints=metadata)


def literals(annotation: Any) -> tuple[Any, ...]:
    """The choices of a Literal; nothing for any other type."""
    return typing.get_args(annotation) if typing.get_origin(annotation) is typing.Literal else ()


def bound(here: Shape | None, name: str) -> float | None:
    """The bound `ge` or `le` of a number."""
    for constraint in here.constraints if here is not None else ():
        for single in (constraint, *getattr(constraint, "metadata", ())):
            value = getattr(single, name, None)
            if isinstance(value, int | float):
                return float(value)
    return None


def key_of(name: str, info: FieldInfo) -> str:
    """How a field is written in the spec."""
    return info.alias or name


@cache
def fields_of(model: Section) -> Mapping[str, Shape]:
    """Shapes of a section's fields by the key they are written with, in the model's order."""
    return {
        key_of(name, info): shape(info.annotation, tuple(info.metadata))
        for name, info in model.model_fields.items()
    }


@cache
def secrets_in(model: Section) -> tuple[str, ...]:
    """Keys of a section that hold a secret; each may be given as KEY_file, a file that holds it, instead."""
    return tuple(key for key, below in fields_of(model).items() if below.type is Secret)


def keys_of(model: Section) -> tuple[str, ...]:
    """Every key that a section may be written with, the files of secrets among them."""
    return (*fields_of(model), *(f"{key}_file" for key in secrets_in(model)))


def secret_places(model: Section, section: Mapping[str, Any]) -> Iterator[tuple[Path, dict[str, Any], str]]:
    """Where secrets of a section as data may stand: below which keys, in which mapping, by which key there.

    Each is given as KEY or as KEY_file. A mapping of names to secrets has a place for each of its names.
    """
    for key in secrets_in(model):
        yield (), cast("dict[str, Any]", section), key
    for key, below in fields_of(model).items():
        entries = section.get(key)
        if below.entries is not None and shape(below.entries).type is Secret and isinstance(entries, dict):
            for name in dict.fromkeys(str(name).removesuffix("_file") for name in entries):
                yield (key,), entries, name


def step(here: Shape, key: str | int, data: object) -> Shape | None:
    """Shape of what is below `here` at `key`, where `data` is the value at `here`."""
    if here.entries is not None:
        return shape(here.entries)
    if here.items is not None:
        return shape(here.items)
    model = here.model(data)
    return fields_of(model).get(str(key)) if model is not None else None


def child(data: object, key: str | int) -> object:
    """`data[key]`, or None where there is no such thing."""
    if isinstance(data, Mapping):
        return data.get(key)
    if isinstance(data, list) and isinstance(key, int) and 0 <= key < len(data):
        return data[key]
    return None


def value_at(data: object, path: Path) -> object:
    """The value at `path`, or None where there is none."""
    for key in path:
        data = child(data, key)
    return data


ROOT = Shape(Spec, models=(Spec,))


def shape_at(path: Path, data: object) -> Shape | None:
    """Shape of the value at `path` in a spec with the plain `data`; None where the model has none."""
    here: Shape | None = ROOT
    for key in path:
        if here is None:
            return None
        here = step(here, key, data)
        data = child(data, key)
    return here


def sections_of(here: Shape, seen: set[Section] | None = None) -> Iterator[Section]:
    """Every section that can stand at or below `here`, each once."""
    seen = set() if seen is None else seen
    for inner in (here.entries, here.items):
        if inner is not None:
            yield from sections_of(shape(inner), seen)
    for model in here.models:
        if model not in seen:
            seen.add(model)
            yield model
            for below in fields_of(model).values():
                yield from sections_of(below, seen)


def sections(
    data: object, here: Shape = ROOT, path: Path = ()
) -> Iterator[tuple[Path, Section, dict[str, Any]]]:
    """Every mapping in `data` that the model knows as a section: its path, its model and itself."""
    if here.items is not None and isinstance(data, list):
        for n, entry in enumerate(data):
            yield from sections(entry, shape(here.items), (*path, n))
    elif here.entries is not None and isinstance(data, dict):
        for name, entry in data.items():
            yield from sections(entry, shape(here.entries), (*path, name))
    elif isinstance(data, dict):
        model = here.model(data)
        if model is None:
            return
        yield path, model, data
        for key, below in fields_of(model).items():
            if below.container and key in data:
                yield from sections(data[key], below, (*path, key))
