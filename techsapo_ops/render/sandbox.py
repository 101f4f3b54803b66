"""Jinja, and what a template may do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel
from typing_extensions import override

from techsapo_ops.stack.template_folders import template_root
from techsapo_ops.stack.templates import to_json, to_yaml

BUILTIN = "builtin"
"""Prefix under which our own templates stay reachable from an override."""


class Sandbox(ImmutableSandboxedEnvironment):
    """Templates may read what they are given, and nothing else.

    Jinja's sandbox keeps them from Python's insides and from changing values. Two kinds of values that are
    handed to templates could do more by public methods: a path reads and writes files, a model parses some.

    Those of the folder `override` come before ours, or those `recorded`, by name; see Templates.
    """

    def __init__(self, override: Path | None, recorded: Mapping[str, str] | None) -> None:
        ours = jinja2.FileSystemLoader(template_root())
        loaders: list[jinja2.BaseLoader] = [ours, jinja2.PrefixLoader({BUILTIN: ours})]
        if recorded is not None:
            loaders.insert(0, jinja2.DictLoader(recorded))
        if override is not None:
            loaders.insert(0, jinja2.FileSystemLoader(override))
        self._loader = jinja2.ChoiceLoader(loaders)
        super().__init__(
            loader=self._loader,
            undefined=jinja2.StrictUndefined,
            autoescape=False,  # no HTML is made; each format has its own filter
            keep_trailing_newline=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.filters.update(to_yaml=to_yaml, to_json=to_json)

    def text(self, name: str) -> str:
        """Text of the template `name`. Raises as Jinja's loaders do."""
        return self._loader.get_source(self, name)[0]

    @override
    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, PurePath) and not hasattr(PurePath, attr):
            return False
        is_model = isinstance(obj, BaseModel) or (isinstance(obj, type) and issubclass(obj, BaseModel))
        if is_model and hasattr(BaseModel, attr):
            return False
        return super().is_safe_attribute(obj, attr, value)
