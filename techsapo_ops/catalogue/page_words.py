"""The words of whole pages: of the recovery card in card.yaml, of drills in drills.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from techsapo_ops.catalogue.yaml_text import packaged_yaml


@dataclass(frozen=True, slots=True)
class Words:
    """The words in one language, `ja` or `en`."""

    locale: str
    file: str

    def __call__(self, name: str, /, **values: object) -> str:
        """The words of that name, with `values` filled in."""
        return words_in(self.file)[name][self.locale].format(**values)

    def joined(self, parts: list[str]) -> str:
        """Several in a row."""
        return self("separator").join(parts)


@cache
def words_in(file: str) -> Mapping[str, Mapping[str, str]]:
    """By name the words of a file in this folder, in each language."""
    loaded: Mapping[str, Mapping[str, str]] = packaged_yaml(file)
    return loaded
