from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from rows import each_row

from techsapo_ops.catalogue.vendors import (
    CHAT_ANSWER,
    THINKING_ANSWER,
    WARNED_DAYS,
    End,
    ModelFacts,
    Source,
    model_of,
    models,
)
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.wallbounce.providers.prices import list_price

ROOT = Path(__file__).parents[3]
TREES = ("techsapo_ops", "templates", "examples")
TABLE = ROOT / "techsapo_ops/catalogue/models.yaml"
EVERY = list(models().values())


def known(vendor: str, model: str) -> ModelFacts:
    found = model_of(vendor, model)
    assert found is not None, (vendor, model)
    return found


def test_nothing_that_users_take_over_names_a_retiring_model() -> None:
    ending = {f.model for f in EVERY if f.end is not None and "-" in f.model}
    names = sorted(ending, key=len, reverse=True)
    found = re.compile(
        rf"(?<![\w.-])(?:{'|'.join(map(re.escape, names))})(?:-\d{{8}}|-\d{{4}}-\d\d-\d\d)?(?![\w-]|\.\d)"
    )
    seen = {
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in [*ROOT.glob("README*.md"), *(p for tree in TREES for p in (ROOT / tree).rglob("*"))]
        if path.is_file() and path.suffix in {".py", ".md", ".yaml", ".yml", ".j2", ".json", ".html", ".js"}
        and "__pycache__" not in path.parts
        and path != TABLE
        for match in found.finditer(path.read_text(encoding="utf-8", errors="replace"))
    }  # fmt: skip
    assert seen == set()


def test_every_successor_is_there_to_stay_and_has_a_list_price_so_that_naming_it_is_enough() -> None:
    successors = {(f.vendor, f.end.replacement) for f in EVERY if f.end is not None and f.end.replacement}
    assert successors
    assert {pair for pair in successors if known(*pair).end is not None or list_price(*pair) is None} == set()


@each_row("facts", [f for f in EVERY if f.price is not None], ids=lambda f: f.model)
def test_a_model_has_a_price_here_only_while_the_pinned_package_does_not_know_it(facts: ModelFacts) -> None:
    from genai_prices import Usage, calc_price

    price = facts.price
    assert price is not None
    assert 0 < (price.cached or price.input) <= price.input < price.output
    assert price.cache_write is None or price.cache_write >= price.input
    with pytest.raises(LookupError):
        calc_price(Usage(input_tokens=1), facts.model, provider_id=facts.vendor)


def test_a_dated_snapshot_is_known_by_its_models_row() -> None:
    assert known("openai", "gpt-5-2025-08-07").model == "gpt-5"
    assert known("anthropic", "claude-sonnet-4-5-20250929").model == "claude-sonnet-4-5"
    assert known("google", "gemini-2.5-flash-001").model == "gemini-2.5-flash"
    assert known("openai", "gpt-4-0613").model == "gpt-4"
    assert known("openai", "gpt-3.5-turbo-0125").model == "gpt-3.5-turbo"
    assert known("anthropic", "claude-sonnet-4-20250514").end is not None
    assert known("google", "models/gemini-2.5-pro").model == "gemini-2.5-pro"
    assert model_of("openai", "models/gpt-5") is None
    assert model_of("openai", "gpt-5-turbo") is None
    assert model_of("openai", "gpt-6.1-sol-2026") is None
    assert model_of("google", "gpt-5") is None
    assert model_of("nobody", "gpt-5") is None


def test_of_a_model_behind_openrouter_only_what_its_vendor_made_is_known() -> None:
    found = known("openrouter", "anthropic/claude-sonnet-5.5:batch")
    assert found.limits == known("anthropic", "claude-sonnet-5-5").limits
    assert (found.end, found.price, found.effort) == (None, None, None)
    assert found.max_output_tokens == THINKING_ANSWER
    assert known("openrouter", "openai/gpt-4o").max_output_tokens == CHAT_ANSWER
    assert known("openrouter", "openai/gpt-5").end is None
    for unknown in ("qwen/qwen3-235b-a22b", "openai", "openai/", "openai/openai/gpt-5", ""):
        assert model_of("openrouter", unknown) is None


def test_an_end_is_near_for_sixty_days_and_ever_after() -> None:
    end = End(date(2027, 1, 31), Source("somewhere", date(2026, 11, 1)))
    assert not end.is_near(end.retires - timedelta(days=WARNED_DAYS + 1))
    assert end.is_near(end.retires - timedelta(days=WARNED_DAYS))
    assert end.is_near(end.retires + timedelta(days=400))


TABLES = Path(__file__).parents[2] / "cases" / "vendors"


def table(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = read_yaml((TABLES / f"{name}.yaml").read_text(encoding="utf-8"))
    return loaded


VENDORS = ("openai", "anthropic", "google")
MODELS = table("models")
ROWS = [
    (vendor, row)
    for vendor in VENDORS
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


def test_a_model_that_its_vendor_no_longer_lists_has_an_end() -> None:
    for facts in models().values():
        if facts.vendor in VENDORS:
            listed = {row["id"] for row in MODELS[facts.vendor]["models"]}
            assert facts.model in listed or facts.end is not None, facts.model


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
