from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from techsapo_ops.wallbounce.model import Answer, Tokens
from techsapo_ops.wallbounce.verdict import settle

CASES = yaml.safe_load((Path(__file__).parents[2] / "cases" / "verdict.yaml").read_text(encoding="utf-8"))


def answer(number: int, sure: float | None) -> Answer:
    return Answer(f"p{number}", "m", f"text {number}", Tokens(), 0.1, 0.0, sure)


@pytest.mark.parametrize("case", CASES, ids=[c["name"] for c in CASES])
def test_a_verdict_follows_from_likeness_and_stated_sureness(case: dict[str, Any]) -> None:
    answers = tuple(answer(n, sure) for n, sure in enumerate(case["self"]))
    alike = dict(zip(combinations(range(len(answers)), 2), case["alike"], strict=True))
    verdict = settle(answers, alike, confidence=case["tau"], consensus=0.6)
    expect = case["expect"]
    assert verdict.chosen == expect["chosen"]
    assert verdict.consensus == pytest.approx(expect["consensus"])
    assert verdict.accepted is expect["accepted"]
    assert list(verdict.notes) == expect["notes"]
    if "confidence" in expect:
        assert verdict.confidence == pytest.approx(expect["confidence"])
