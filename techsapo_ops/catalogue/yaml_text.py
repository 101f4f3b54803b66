"""YAML as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Any, TypeVar

import yaml

T = TypeVar("T")
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where PyYAML was built with it: ten times as fast."""


def read_yaml(text: str | bytes) -> Any:
    """The data of a YAML document. Raises yaml.YAMLError."""
    return yaml.load(text, LOADER)  # noqa: S506 - a safe loader either way


def read_nodes(text: str) -> yaml.Node | None:
    """The tree of a YAML document with the place of each value. Raises yaml.YAMLError."""
    root: yaml.Node | None = yaml.compose(text, LOADER)
    return root


def frozen(value: Any) -> Any:
    """`value` with tuples for lists, and mappings that nobody changes."""
    if isinstance(value, list):
        return tuple(map(frozen, value))
    return MappingProxyType({k: frozen(v) for k, v in value.items()}) if isinstance(value, dict) else value


def packaged_table(name: str, row: Callable[..., T]) -> Mapping[str, T]:
    """The rows of the YAML file `name` of the catalogue by their names, in its order.

    `row` makes one of the name and its entries.
    """
    rows = frozen(packaged_yaml(name)).items()
    return MappingProxyType({key: row(name=key, **entry) for key, entry in rows})


def packaged_yaml(name: str, package: str = "techsapo_ops.catalogue") -> Any:
    """The data of the YAML file `name` in our package `package`."""
    return read_yaml(files(package).joinpath(name).read_text(encoding="utf-8"))
