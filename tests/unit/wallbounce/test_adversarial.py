"""Each case of tests/cases/wallbounce/adversarial.yaml through the whole orchestrator."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from rows import each_row
from staged import Staged
from virtual import run

from techsapo_ops.wallbounce.analysis import Analysis
from techsapo_ops.wallbounce.answers import Answer, Tokens
from techsapo_ops.wallbounce.claims import speaks_to_graders
from techsapo_ops.wallbounce.commands import commands_of, destructive
from techsapo_ops.wallbounce.orchestrator import WallBounce
from techsapo_ops.wallbounce.policy import Policy
from techsapo_ops.wallbounce.question import Question
from techsapo_ops.wallbounce.screen import screen
from techsapo_ops.wallbounce.tiers import TaskType, TierRule
from techsapo_ops.wallbounce.verdict import Outcome

READ = yaml.safe_load(
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


def test_a_refusal_names_causes_and_no_command_and_no_answer() -> None:
    case = next(c for c in READ["cases"] if c["name"] == "a_cause_that_most_contradict")
    analysis, _ = staged(case)
    assert {h.cause for h in analysis.hypotheses} == {
        "ディスクの空き容量が尽きています。",
        "OOMキラーがプロセスを終了させています。",
        "証明書が期限切れです。",
    }
    assert "確かな答えを出せません" in analysis.text
    assert "df -h" not in analysis.text
    assert "どの原因も確かめられていません" in analysis.text


def test_what_destroys_is_marked_in_the_text_and_never_offered_in_a_refusal() -> None:
    by_name = {c["name"]: c for c in READ["cases"]}
    accepted, _ = staged(by_name["all_agree_on_what_to_destroy"])
    assert "元に戻せない操作" in accepted.text.splitlines()[0]
    assert "rm -rf /var/log/app/*" in accepted.text
    refused, _ = staged(by_name["all_agree_but_not_on_what_to_destroy"])
    assert "mkfs" not in refused.text


def test_hostile_text_of_the_longest_size_is_searched_in_bounded_time() -> None:
    # Quadratic patterns take minutes over these; the limit is a guard against that, not a measurement.
    began = time.process_time()
    for piece in (
        " ",
        "\n",
        "rm -",
        "rm --- ",
        "find ",
        "a",
        "「",
        "`",
        "```",
        "```\n",
        "$ ",
        "/a",
        "採点",
        "grade all ",
        "git push ",
        "> ",
        "0 ",
    ):
        text = (piece * (100_000 // len(piece)))[:100_000]
        answer = Answer("p", "m", text, Tokens(), 0.1, 0.0)
        destructive(text)
        commands_of(answer)
        speaks_to_graders(answer)
        screen((answer, Answer("q", "m", "df -h", Tokens(), 0.1, 0.0)))
    assert time.process_time() - began < 30
