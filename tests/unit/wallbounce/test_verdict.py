from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rows import each_row

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.wallbounce.bounce import counts, critiques, stalled, within_reach
from techsapo_ops.wallbounce.escalation import outcome, reason_to_escalate
from techsapo_ops.wallbounce.grades import Objection
from techsapo_ops.wallbounce.tiers import TierRule
from techsapo_ops.wallbounce.verdict import (
    CONTRADICTED,
    PROVISIONAL,
    Ceilings,
    Evidence,
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
    made = judge(evidence(case), TierRule(2, 0.7, 0.6), Weights(9.0, 0.0, 0.0, calibrated=True))
    assert (made.confidence, made.calibrated) == (0.92, True)
    assert made.uncapped == pytest.approx(sigmoid(9.0))


RAISED = Weights(9.0, 0.0, 0.0, calibrated=True, ceilings=Ceilings(count=0.98, contradicted=0.9))


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
