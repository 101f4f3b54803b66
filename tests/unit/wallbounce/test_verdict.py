from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from rows import each_row
from scripted import USUAL_TIERS, Staged
from virtual import run

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.wallbounce.analysis import Analysis
from techsapo_ops.wallbounce.answers import Objection
from techsapo_ops.wallbounce.orchestrator import WallBounce
from techsapo_ops.wallbounce.providers.guarded import Guarded
from techsapo_ops.wallbounce.question import Policy, Question, TierRule
from techsapo_ops.wallbounce.verdict.next_step import (
    counts,
    critiques,
    outcome,
    reason_to_escalate,
    stalled,
    within_reach,
)
from techsapo_ops.wallbounce.verdict.verdict import (
    CONTRADICTED,
    PROVISIONAL,
    Evidence,
    Outcome,
    Verdict,
    Weights,
    judge,
    sigmoid,
)

FOLDER = Path(__file__).parents[2] / "cases" / "wallbounce"


def cases(name: str) -> list[Any]:
    read = read_yaml((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return [pytest.param(case, id=case["name"]) for case in read]


def evidence(case: dict[str, Any]) -> Evidence:
    return Evidence(
        count=case["count"],
        chosen=0,
        cluster=tuple(range(case["cluster"])),
        consensus=case["consensus"],
        grade=case["grade"],
        contradicted=case.get("contradicted", False),
        destructive_split=case.get("destructive_split", False),
        manipulation=case.get("manipulation", False),
        ungraded=case.get("ungraded", False),
        self_confidence=case.get("self"),
    )


def fitted(labels: int, contradicted: int = 0) -> Weights:
    return Weights((9.0, 0.0, 0.0, 0.0, 0.0), labels=labels, contradicted=contradicted)


def verdict(case: dict[str, Any]) -> Verdict:
    return Verdict(0, 0.0, case["confidence"], case.get("accepted", False), tuple(case.get("notes", ())))


@each_row("case", cases("verdict"))
def test_a_verdict_follows_from_agreement_grades_and_caps(case: dict[str, Any]) -> None:
    made = judge(evidence(case), TierRule(2, case["tau"], 0.6), PROVISIONAL)
    expect = case["expect"]
    assert made.confidence == pytest.approx(expect["confidence"], abs=5e-5)
    assert (made.accepted, list(made.notes)) == (expect["accepted"], expect["notes"])
    assert made.calibrated is False


def test_fitted_weights_are_told_apart_but_keep_caps_that_no_label_raised() -> None:
    case = {"count": 2, "cluster": 2, "grade": 1, "consensus": 1}
    made = judge(evidence(case), TierRule(2, 0.7, 0.6), fitted(1))
    assert (made.confidence, made.calibrated) == (0.92, True)
    assert made.estimate is not None
    assert made.estimate.labels == 1
    assert made.uncapped == pytest.approx(sigmoid(9.0))


RAISED = fitted(48, contradicted=8)
"""Labels bear out (48 + 1) / (48 + 2), and (8 + 1) / (8 + 2) where a critical claim is contradicted."""


def test_labels_raise_what_is_said_of_a_contradicted_answer_but_it_is_not_accepted() -> None:
    case = {"count": 3, "cluster": 2, "grade": 1, "consensus": 1, "contradicted": True}
    made = judge(evidence(case), TierRule(2, 0.8, 0.6), RAISED)
    assert (made.confidence, made.accepted) == (0.9, False)
    assert made.notes == (CONTRADICTED, "confidence_below_threshold")
    assert within_reach(made, 0.8)
    assert reason_to_escalate(made, 0.9, destructive=False, stalled=False) == "low_confidence"
    assert outcome(made, "top") == ("unsettled", None)


@each_row("danger", ["destructive_split", "manipulation"])
def test_no_label_raises_the_caps_on_danger(danger: str) -> None:
    case = {"count": 3, "cluster": 3, "grade": 1, "consensus": 1, danger: True}
    assert judge(evidence(case), TierRule(2, 0.8, 0.6), RAISED).confidence == 0.5


def test_an_agreed_answer_is_accepted_by_what_its_labels_bear_out() -> None:
    case = {"count": 2, "cluster": 2, "grade": 1, "consensus": 1}
    made = judge(evidence(case), TierRule(2, 0.95, 0.6), RAISED)
    assert (made.confidence, made.accepted) == (0.98, True)


@each_row("case", cases("escalation"))
def test_what_needs_another_voice(case: dict[str, Any]) -> None:
    told = reason_to_escalate(
        verdict(case),
        case["wanted"],
        destructive=case.get("destructive", False),
        stalled=case.get("stalled", False),
    )
    assert told == case["reason"]


@each_row("case", cases("outcomes"))
def test_what_an_analysis_ends_in(case: dict[str, Any]) -> None:
    assert outcome(verdict(case), case["obstacle"]) == (case["outcome"], case["note"])


@each_row("confidence, reach", [(0.44, False), (0.45, True), (0.69, True), (0.7, False), (0.9, False)])
def test_a_bounce_is_for_what_lies_just_below_the_threshold(confidence: float, reach: bool) -> None:
    assert within_reach(verdict({"confidence": confidence}), 0.7) is reach


def test_a_revision_counts_only_if_its_grade_rises() -> None:
    assert [counts(0.5, after) for after in (None, 0.4, 0.5, 0.51)] == [False, False, False, True]


def test_a_round_that_gains_less_than_a_twentieth_is_the_last() -> None:
    assert [stalled(0.5, after) for after in (0.4, 0.5, 0.549, 0.56)] == [True, True, True, False]


def test_critiques_name_claims_and_reasons_but_nobody() -> None:
    told = critiques(
        [Objection("secret-name", "the disk is full", (("p2", "df says 40 %"), ("p3", "df says 40 %")))]
    )
    assert [(c.claim, c.objection) for c in told] == [("the disk is full", "df says 40 %")]


@each_row("x", [-1e308, -800.0, 0.0, 800.0, 1e308])
def test_the_sigmoid_takes_any_number(x: float) -> None:
    assert 0 <= sigmoid(x) <= 1


READ = read_yaml(
    (Path(__file__).parents[2] / "cases" / "wallbounce" / "adversarial.yaml").read_text(encoding="utf-8")
)
CASES = [pytest.param(case, id=case["name"]) for case in READ["cases"]]


def staged(case: dict[str, Any], seed: int = 1) -> tuple[Analysis, float]:
    meanings = {c["say"]: c["means"] for part in case["parts"] for c in part.get("claims", ())}
    parts = [Staged(part, meanings, orders=case.get("orders", "")) for part in case["parts"]]
    tiers = {**USUAL_TIERS, "premium": TierRule(3, case.get("accepts_at", 0.8), 0.6)}
    bounce = WallBounce(
        [*map(Guarded, parts)],
        Policy(tiers, deadline=case.get("deadline", 120.0)),
        draw=lambda: random.Random(seed),
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
