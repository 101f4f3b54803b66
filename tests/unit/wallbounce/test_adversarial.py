"""Each case of tests/cases/wallbounce/adversarial.yaml through the whole orchestrator."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from rows import each_row
from staged import Staged
from virtual import run

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.wallbounce.analysis import Analysis
from techsapo_ops.wallbounce.orchestrator import WallBounce
from techsapo_ops.wallbounce.question import Question
from techsapo_ops.wallbounce.tiers import Policy, TaskType, TierRule
from techsapo_ops.wallbounce.verdict import Outcome

READ = read_yaml(
    (Path(__file__).parents[2] / "cases" / "wallbounce" / "adversarial.yaml").read_text(encoding="utf-8")
)
CASES = [pytest.param(case, id=case["name"]) for case in READ["cases"]]


def staged(case: dict[str, Any], seed: int = 1) -> tuple[Analysis, float]:
    meanings = {c["say"]: c["means"] for part in case["parts"] for c in part.get("claims", ())}
    parts = [Staged(part, meanings, orders=case.get("orders", "")) for part in case["parts"]]
    premium = case.get("accepts_at", 0.8)
    tiers: dict[TaskType, TierRule] = {
        "basic": TierRule(2, 0.7, 0.6),
        "premium": TierRule(3, premium, 0.6),
        "critical": TierRule(4, 0.9, 0.6),
    }
    bounce = WallBounce(
        parts, Policy(tiers, deadline=case.get("deadline", 120.0)), draw=lambda: random.Random(seed)
    )
    question = Question("サーバーが応答しない", "ja", "r")
    return run(bounce.analyse(question, case["tier"]))


@each_row("case", CASES)
def test_each_case_ends_in_its_range_and_verdict(case: dict[str, Any]) -> None:
    analysis, seconds = staged(case)
    verdict, expect = analysis.verdict, case["expect"]
    low, high = expect["confidence"]
    assert low <= verdict.confidence <= high
    assert verdict.outcome == expect["outcome"]
    assert verdict.accepted is (verdict.outcome is Outcome.ACCEPTED)
    assert set(expect.get("notes", ())) <= set(verdict.notes)
    if "chosen" in expect:
        assert analysis.answer.provider in expect["chosen"]
    if "tier" in expect:
        assert analysis.tier == expect["tier"]
    if "destructive" in expect:
        assert [d.kind for d in analysis.destructive] == expect["destructive"]
    assert [f.kind for f in analysis.failures] == expect.get("failures", [])
    assert seconds <= expect.get("seconds", 5)


@each_row("case", CASES)
def test_no_case_depends_on_the_order_in_which_peers_are_shown(case: dict[str, Any]) -> None:
    outcomes = {
        (a.verdict.outcome, round(a.verdict.confidence, 9)) for a, _ in (staged(case, s) for s in (1, 2))
    }
    assert len(outcomes) == 1


def test_what_destroys_is_marked_in_the_text_and_never_offered_in_a_refusal() -> None:
    by_name = {c["name"]: c for c in READ["cases"]}
    accepted, _ = staged(by_name["all_agree_on_what_to_destroy"])
    assert "元に戻せない操作" in accepted.text.splitlines()[0]
    assert "rm -rf /var/log/app/*" in accepted.text
    refused, _ = staged(by_name["all_agree_but_not_on_what_to_destroy"])
    assert "mkfs" not in refused.text
