"""YAML as data."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import yaml

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where PyYAML was built with it: ten times as fast."""


def read_yaml(text: str | bytes) -> Any:
    """The data of a YAML document. Raises yaml.YAMLError."""
    return yaml.load(text, LOADER)  # noqa: S506 - a safe loader either way


def read_nodes(text: str) -> yaml.Node | None:
    """The tree of a YAML document with the place of each value. Raises yaml.YAMLError."""
    root: yaml.Node | None = yaml.compose(text, LOADER)
    return root


def packaged_yaml(name: str, package: str = "techsapo_ops.catalogue") -> Any:
    """The data of the YAML file `name` in our package `package`."""
    return read_yaml(files(package).joinpath(name).read_text(encoding="utf-8"))
