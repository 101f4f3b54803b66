"""What our catalogue and the stand-ins' tables both know of a model is the same, and was read separately."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rows import each_row

from techsapo_ops.catalogue.models import model_of
from techsapo_ops.catalogue.yaml_text import read_yaml

TABLES = Path(__file__).parents[2] / "cases" / "vendors"


def table(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = read_yaml((TABLES / f"{name}.yaml").read_text(encoding="utf-8"))
    return loaded


MODELS = table("models")
ROWS = [
    (vendor, row)
    for vendor in ("openai", "anthropic", "google")
    for row in MODELS[vendor]["models"]
    if {"max_output", "retires"} & set(row)
]


@each_row("vendor, row", ROWS, ids=lambda v: v["id"] if isinstance(v, dict) else v)
def test_limits_and_ends_are_the_same(vendor: str, row: dict[str, Any]) -> None:
    facts = model_of(vendor, row["id"])
    assert facts is not None, "the catalogue does not know it"
    ours = facts.limits.max_output if facts.limits is not None else None
    theirs = row.get("max_output")
    assert ours is None or theirs is None or ours == theirs
    if "retires" in row:
        assert facts.end is not None
        assert facts.end.retires == row["retires"]


@each_row("model, rules", table("openai")["effort"]["models"].items())
def test_the_efforts_are_the_same(model: str, rules: dict[str, Any]) -> None:
    facts = model_of("openai", model)
    assert facts is not None
    assert facts.effort is not None
    assert list(facts.effort.values) == rules["values"]


@each_row("model, rules", table("google")["thinking"]["models"].items())
def test_the_levels_of_gemini_are_the_same(model: str, rules: dict[str, Any]) -> None:
    facts = model_of("google", model)
    assert facts is not None
    assert facts.effort is not None
    assert [level.upper() for level in facts.effort.values] == rules["levels"]
