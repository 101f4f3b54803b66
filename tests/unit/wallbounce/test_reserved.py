"""What a question reserves by tier, price and longest answer, and which budgets have room for it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from rows import each_row
from scripted import Purse, Scripted, climbing

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.spec.models.app import Budget
from techsapo_ops.wallbounce.providers.prices import list_price
from techsapo_ops.wallbounce.providers.provider import Price
from techsapo_ops.wallbounce.question import Question

CASES = Path(__file__).parents[2] / "cases" / "reserved.yaml"
USUAL = Question("x" * 2_700, "en", "req-1")


def provider(name: str, price: Price, tokens: int) -> Scripted:
    made = Scripted(name, "x")
    made.price, made.max_output_tokens = price, tokens
    return made


@each_row("case", read_yaml(CASES.read_text()), ids=lambda c: f"{c['tier']}-{c['of'][0]}")
def test_a_tier_of_models_reserves_what_the_table_says(case: dict[str, Any]) -> None:
    made = []
    for n, model in enumerate(case["of"]):
        kind, _, name = model.partition("/")
        price = list_price(kind, name)
        assert price is not None
        made.append(provider(str(n), price, case["tokens"]))
    bounce, _ = climbing(*made)
    worst = bounce.worst_case(Question("x" * case["question"], "en"), case["tier"])
    assert round(worst, 2) == case["usd"]
    budget = Budget()
    assert (worst <= budget.resolved_daily_usd, worst <= budget.monthly_usd) == (case["a_day"], True)


@each_row("filling", ["the disk is full ", "ディスクが一杯です。", '<"\n'])
def test_what_the_calls_of_a_tier_set_aside_never_exceeds_what_was_reserved(filling: str) -> None:
    """Each grader is shown its own answer beside the others: that was left out."""
    payer = Purse()
    three = [provider(name, Price(2.0, 10.0), 16_384) for name in "abc"]
    for each in three:
        each._script = (filling * 20_000)[:99_000]
    bounce, _ = climbing(*three, max_bounces=0)
    asyncio.run(bounce.analyse(USUAL, "premium", payer=payer))
    assert len(payer.held) == 6
    assert sum(payer.held) <= bounce.worst_case(USUAL, "premium")
