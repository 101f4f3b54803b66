"""The words of a drill's report, loaded from drills.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import yaml

_TIME = "_seconds"
"""How the name of a count ends that is a time, as of a backup's source."""


@cache
def _words() -> Mapping[str, Mapping[str, str]]:
    text = (files("techsapo_ops.catalogue") / "drills.yaml").read_text(encoding="utf-8")
    return {str(name): entry for name, entry in yaml.safe_load(text).items()}


class DrillWords:
    """The words in one language, `ja` or `en`."""

    def __init__(self, locale: str) -> None:
        self._locale = locale

    def __call__(self, name: str, **values: object) -> str:
        """The words of `name`, filled in; of what has none, its own name, as of a backup's source."""
        entry = _words().get(name)
        if entry is None and name.endswith(_TIME):
            return self("seconds_of", what=self(name.removesuffix(_TIME)))
        return name if entry is None else entry[self._locale].format(**values)
