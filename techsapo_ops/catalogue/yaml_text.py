"""YAML as data, and the files of the catalogue, which are YAML for who writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import yaml

from techsapo_ops.catalogue.compiled import FOLDER, compiled

T = TypeVar("T")
LOADER: Any = yaml.CSafeLoader
"""libyaml's: ten times as fast as PyYAML's own."""
_CATALOGUE = "techsapo_ops.catalogue"
_FOLDER = Path(__file__).parent
FORMAT = 1
"""Another one for each change of how YAML is read here."""
COMPILED = f"{FOLDER}/catalogue.json"
"""All of the catalogue as one JSON file, which is read in a tenth of the time."""


class _CatalogueLoader(LOADER):  # type: ignore[misc]
    """Leaves a day as text, as JSON has it."""

    yaml_implicit_resolvers = {
        first: [each for each in known if not each[0].endswith(":timestamp")]
        for first, known in LOADER.yaml_implicit_resolvers.items()
    }


def read_yaml(text: str | bytes) -> Any:
    """The data of a YAML document. Raises yaml.YAMLError, for a value such as 2026-13-01, too."""
    try:
        return yaml.load(text, LOADER)  # noqa: S506 - a safe loader either way
    except (ValueError, LookupError, AttributeError) as error:
        raise yaml.YAMLError(str(error)) from None


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


def packaged_yaml(name: str, package: str = _CATALOGUE) -> Any:
    """The data of the YAML file `name` in our package `package`, which nobody changes; days are text."""
    known = compiled_catalogue(_FOLDER) if package == _CATALOGUE else None
    if known is not None:
        return known[name]
    return _read(files(package).joinpath(name).read_text(encoding="utf-8"))


def _read(text: str) -> Any:
    return yaml.load(text, _CatalogueLoader)  # noqa: S506 - a safe loader


@cache
def compiled_catalogue(folder: Path) -> Mapping[str, Any] | None:
    """The data of each YAML file of the catalogue in `folder` by its name; None where they stay YAML."""
    pages = {str(page.relative_to(folder)): page for page in catalogue_files(folder)}

    def read() -> dict[str, Any]:
        return {name: _read(page.read_text(encoding="utf-8")) for name, page in pages.items()}

    data: Mapping[str, Any] | None = compiled(folder / COMPILED, pages, FORMAT, read)
    return data


def catalogue_files(folder: Path = _FOLDER) -> list[Path]:
    """The YAML files of the catalogue, sorted."""
    return sorted((*folder.glob("*.yaml"), *folder.glob("*/*.yaml")))
