"""YAML as data, and the files of the catalogue, which are YAML for who writes them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import yaml

T = TypeVar("T")
LOADER: Any = yaml.CSafeLoader
"""libyaml's: ten times as fast as PyYAML's own."""
_CATALOGUE = "techsapo_ops.catalogue"
_FOLDER = Path(__file__).parent
FORMAT = 1
"""Another one for each change of how YAML is read here."""
COMPILED = "__pycache__/catalogue.json"
"""All of the catalogue as one JSON file, which is read in a tenth of the time. It is made as Python makes its
own compiled files, and beside them: when a YAML file has changed, and where the folder can be written."""


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
    known = compiled(_FOLDER) if package == _CATALOGUE else None
    if known is not None:
        return known[name]
    return _read(files(package).joinpath(name).read_text(encoding="utf-8"))


def _read(text: str) -> Any:
    return yaml.load(text, _CatalogueLoader)  # noqa: S506 - a safe loader


@cache
def compiled(folder: Path) -> Mapping[str, Any] | None:
    """The data of each YAML file of the catalogue in `folder` by its name; None where they stay YAML."""
    pages = {str(page.relative_to(folder)): page for page in catalogue_files(folder)}
    there = folder / COMPILED
    facts = [[name, (stat := page.stat()).st_mtime_ns, stat.st_size] for name, page in pages.items()]
    made_of = [FORMAT, *facts]
    # None yet, or a damaged one.
    with suppress(OSError, ValueError, LookupError, TypeError, RecursionError):
        made = json.loads(there.read_bytes())
        if made["made_of"] == made_of and made["data"].keys() == pages.keys():
            return dict(made["data"])
    if sys.dont_write_bytecode:
        return None
    data = {name: _read(page.read_text(encoding="utf-8")) for name, page in pages.items()}
    part = there.with_suffix(f".{os.getpid()}")
    try:
        there.parent.mkdir(exist_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w") as file:
            json.dump({"made_of": made_of, "data": data}, file)
        part.replace(there)
    except OSError:
        return None
    finally:
        with suppress(OSError):  # a full disk would get one for each command
            part.unlink()
    return data


def catalogue_files(folder: Path = _FOLDER) -> list[Path]:
    """The YAML files of the catalogue, sorted."""
    return sorted((*folder.glob("*.yaml"), *folder.glob("*/*.yaml")))
