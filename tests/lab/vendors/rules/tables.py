"""The tables of tests/cases/vendors, and what most rules ask of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from techsapo_ops.catalogue.yaml_text import read_yaml
from vendors.answers import PLAYS
from vendors.lists import Row

_CASES = Path(__file__).parents[3] / "cases" / "vendors"


@cache
def table(name: str) -> dict[str, Any]:
    """tests/cases/vendors/NAME.yaml."""
    loaded: dict[str, Any] = read_yaml((_CASES / f"{name}.yaml").read_text(encoding="utf-8"))
    return loaded


def of_model(rules: Mapping[str, Any], model: str) -> Any:
    """The rules of the longest name that `model` begins with, or None."""
    names = [name for name in rules if model == name or model.startswith(f"{name}-")]
    return rules[max(names, key=len)] if names else None


def known(model: str, rows: Sequence[Row]) -> bool:
    """Whether the vendor serves `model`; the lab's plays are served by everybody."""
    return model in PLAYS or any(row.id == model for row in rows)


def most_output(model: str, rows: Sequence[Row]) -> int | None:
    """Tokens that `model` can write at most, if the table knows."""
    return next((row.max_output for row in rows if row.id == model), None)


def listed(words: Sequence[str]) -> str:
    """`words` as OpenAI lists them: 'a', 'b', and 'c'."""
    *most, last = (f"'{word}'" for word in words)
    return f"{', '.join(most)}, and {last}" if most else last
