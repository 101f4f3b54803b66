"""What people said of answers: whose word counts how much, what is learnt from it, who is asked next."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from rows import each_row

from techsapo_ops.stores.labels.rows import AnsweredRequest, Label, Said
from techsapo_ops.wallbounce.feedback.judged import judged, labelled, weights
from techsapo_ops.wallbounce.feedback.picking import pick
from techsapo_ops.wallbounce.feedback.track_record import balance, track_records
from techsapo_ops.wallbounce.verdict.record import Member, PanelRecord, dumps
from techsapo_ops.wallbounce.verdict.verdict import Outcome

NOW = datetime(2026, 12, 2, 9, tzinfo=UTC)
_NUMBERS = count()


def record(**changes: Any) -> PanelRecord:
    """Of three models of which the last one dissents."""
    members = tuple(Member(name, name, name, agrees) for name, agrees in zip("abc", (True, True, False)))  # noqa: B905
    values: dict[str, Any] = {
        "tier": "premium", "answers": members, "grades": (), "chosen": 0, "agreement": 0.5, "grade": 0.9,
        "contradicted": False, "complete": True, "wanted_confidence": 0.8, "wanted_consensus": 0.6,
        "confidence": 0.92, "outcome": Outcome.ACCEPTED,
    }  # fmt: skip
    return PanelRecord(**{**values, **changes})


def said(of: str, who: str, label: Said, minutes: int = 0) -> Label:
    return Label(f"{next(_NUMBERS):032}", of, who, label, None, NOW + timedelta(minutes=minutes), "api")


def answered(of: str, *labels: Label, panel: PanelRecord | None = None, **more: Any) -> AnsweredRequest:
    values = {"time": NOW, "prompt_hash": of, "simulated": False, "cost_usd": 0.1, **more}
    return AnsweredRequest(of, panel=dumps(panel or record()), labels=labels, **values)


def test_the_last_word_of_each_person_counts_and_others_are_not_judgements() -> None:
    (each,) = judged(
        [answered("r", said("r", "aki", "wrong"), said("r", "aki", "right", 5), said("r", "ben", "unused"))]
    )
    assert each.right == 1
    assert [label.label for label in each.labels] == ["right", "unused"]
    assert judged([answered("r", said("r", "aki", "unknown"))])[0].right is None


def test_an_answer_that_came_again_from_the_cache_is_one_analysis() -> None:
    rows = [
        answered("r1", said("r1", "aki", "right")),
        answered("r2", said("r2", "ben", "wrong"), prompt_hash="r1", cost_usd=0.0),
    ]
    (each,) = judged(rows)
    assert (set(each.requests), each.right, each.cost_usd) == ({"r1", "r2"}, 0.5, 0.1)
    assert [(one.right, one.weight) for one in labelled([each])] == [(0.5, 1.0)]


def test_a_request_id_that_stands_for_several_analyses_labels_none_of_them() -> None:
    mine, forged = said("r", "aki", "right"), answered("r", prompt_hash="another question")
    assert judged([answered("r", mine), forged]) == ()


def test_a_row_of_another_version_s_form_is_passed_over() -> None:
    rows = [answered("old"), answered("new")]
    broken = AnsweredRequest("old", NOW, "old", False, 0.0, '{"tier": "premium"}')
    assert [each.requests for each in judged([broken, rows[1]])] == [("new",)]


@pytest.mark.parametrize(
    "changes",
    [
        {"chosen": 3},
        {"grades": [{"grader": 3, "answer": 0, "score": 0.5}]},
        {"grades": [{"grader": 1, "answer": 3, "score": 0.5}]},
        {"answers": [{"model": n, "version": n, "family": n, "agrees": None} for n in "ab"]},
        {"answers": [{"model": n, "version": n, "family": n, "agrees": False} for n in "ab"]},
        {"confidence": float("nan")},
    ],
)
def test_a_damaged_row_is_passed_over(changes: dict[str, Any]) -> None:
    panel = json.dumps({**json.loads(dumps(record())), **changes})
    damaged = AnsweredRequest("bad", NOW, "bad", False, 0.0, panel, (said("bad", "aki", "right"),))
    assert [each.requests for each in judged([damaged, answered("good")])] == [("good",)]


@each_row(
    "counts, shares",
    [
        ({"aki": 30}, {"aki": 30}),
        ({"aki": 100, "ben": 10}, {"aki": 10, "ben": 10}),
        ({"aki": 60, "ben": 20, "cho": 10}, {"aki": 30, "ben": 20, "cho": 10}),
        ({"aki": 1000, "ben": 10, "cho": 10}, {"aki": 20, "ben": 10, "cho": 10}),
        ({}, {}),
    ],
)
def test_one_person_s_labels_count_for_no_more_than_all_others_together(
    counts: dict[str, int], shares: dict[str, float]
) -> None:
    weight = weights(counts)
    assert {who: pytest.approx(weight[who] * n) for who, n in counts.items()} == shares


def test_who_labels_most_counts_for_less_each_time() -> None:
    rows = [answered(f"r{n}", said(f"r{n}", "aki", "wrong")) for n in range(8)]
    rows += [answered("b", said("b", "ben", "right")), answered("c", said("c", "cho", "right"))]
    learnt = labelled(judged(rows))
    assert sum(each.weight for each in learnt if each.right == 0) == pytest.approx(2)
    assert [each.weight for each in learnt if each.right == 1] == [1, 1]


def test_nothing_is_learnt_from_simulated_models() -> None:
    assert labelled(judged([answered("r", said("r", "aki", "right"), simulated=True)])) == ()


def test_a_model_that_always_dissents_is_seen_by_its_record() -> None:
    rows = [answered(f"r{n}", said(f"r{n}", "aki", "right")) for n in range(3)]
    rows.append(answered("w", said("w", "aki", "wrong")))
    known = {each.model: each for each in track_records(judged(rows))}
    assert (known["c"].dissented, known["c"].compared) == (4, 4)
    assert (known["c"].right, known["c"].judged) == (0, 3), "where the chosen one is wrong, nobody knows"
    assert (known["b"].right, known["b"].judged, known["b"].dissented) == (3, 4, 0)
    assert known["a"].compared == 0, "the chosen answer is compared with none but itself"


def test_the_balance_says_what_became_of_sure_and_of_declined_answers() -> None:
    declined = record(outcome=Outcome.REFUSED, confidence=0.4)
    rows = [
        answered("a", said("a", "aki", "right")),
        answered("b", said("b", "aki", "wrong")),
        answered("c", said("c", "aki", "right"), panel=declined),
        answered("d"),
    ]
    known = balance(judged(rows))
    assert (known.sure, known.sure_right, known.declined, known.declined_right) == (2, 1, 1, 1)
    assert known.usd_per_right == pytest.approx(0.15)
    assert balance(()).usd_per_right is None


def test_asked_about_first_is_what_was_declined_or_close_and_of_a_kind_few_labels_are_of() -> None:
    sure = record(confidence=0.99)
    rows = [answered(f"s{n}", panel=sure) for n in range(6)]
    rows += [
        answered("declined", panel=record(outcome=Outcome.REFUSED, confidence=0.3)),
        answered("rare", panel=record(tier="critical", confidence=0.99)),
        answered("told", said("told", "aki", "unknown"), panel=record(outcome=Outcome.REFUSED)),
    ]
    picked = [each.requests[0] for each in pick(judged(rows))]
    assert picked[0] == "declined"
    assert "rare" in picked[:3]
    assert "told" not in picked, "somebody was asked already"
    assert len(picked) == 5
