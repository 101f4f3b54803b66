"""What a whole analysis is booked at where the vendor says what it charges, as OpenRouter does."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from asking import KEY, PRICE
from orchestrator import client_of, make_app
from rows import each_row
from vendors import INPUT_TOKENS, OUTPUT_TOKENS, vendor
from vendors.chats import OpenRouter

pytestmark = pytest.mark.lab

COUNTED = (INPUT_TOKENS * PRICE["input"] + OUTPUT_TOKENS * PRICE["output"]) / 1e6
BUDGET = {"monthly_usd": 1000}
"""Enough for calls that are booked at their bound."""
CALLS = 4
"""Two answers, and each graded by the other."""


class Charging(OpenRouter):
    """OpenRouter that says what `told` is for the usage of each call."""

    def __init__(self, **told: Any) -> None:
        self._told = told

    def usage(self) -> dict[str, Any]:
        return {**super().usage(), **self._told}


def booked(
    directory: Path, stream: bool, **told: Any
) -> tuple[dict[str, Any], dict[str, float], list[float]]:
    """An answer, the app's metrics and the audit log's costs of its calls."""

    async def main() -> tuple[dict[str, Any], str]:
        async with vendor(Charging(**told)) as seen:
            providers = {
                name: {
                    "kind": "openrouter", "base_url": seen.url, "model": "good", "api_key": KEY,
                    "price": PRICE, "stream": stream,
                }
                for name in ("one", "two")
            }  # fmt: skip
            async with client_of(make_app(directory, providers=providers, budget=BUDGET)) as client:
                answer = await client.post("/api/v1/generate", json={"prompt": "df"})
                assert answer.status_code == 200, answer.text
                return answer.json(), (await client.get("/metrics")).text

    answer, text = asyncio.run(main())
    metrics = {name: float(value) for name, value in re.findall(r"^(\S+) ([\d.e+-]+)$", text, re.M)}
    with closing(sqlite3.connect(directory / "data" / "audit.sqlite")) as log:
        costs = [cost for (cost,) in log.execute("SELECT cost_usd FROM audit_calls")]
    return answer, metrics, costs


@each_row("stream", [False, True])
def test_answer_budget_and_audit_log_agree_on_what_openrouter_says_that_it_charges(
    tmp_path: Path, stream: bool
) -> None:
    answer, metrics, costs = booked(tmp_path, stream, cost=0.0125)
    assert costs == [0.0125] * CALLS
    assert answer["cost_usd"] == pytest.approx(CALLS * 0.0125)
    assert sum(p["cost_usd"] for p in answer["providers"]) == pytest.approx(CALLS * 0.0125)
    assert metrics['techsapo_budget_spent_usd{period="day"}'] == pytest.approx(CALLS * 0.0125)


@each_row("told", [1e9, -0.5, float("nan")])
def test_a_bill_that_cannot_be_is_bounded_in_the_budget(tmp_path: Path, told: float) -> None:
    answer, metrics, costs = booked(tmp_path, False, cost=told)
    assert len(costs) == CALLS
    assert all(0 < cost < 4 for cost in costs)
    assert (costs == [pytest.approx(COUNTED)] * CALLS) == (told != 1e9)
    assert metrics['techsapo_budget_spent_usd{period="day"}'] == pytest.approx(sum(costs))
    assert answer["cost_usd"] == pytest.approx(sum(costs))
