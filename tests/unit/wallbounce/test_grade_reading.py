"""Grades are read with patience: one bad score, label or claim costs that one alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fuzzing import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from rows import each_row

from techsapo_ops.wallbounce.answers import Grade, Peer, Stance
from techsapo_ops.wallbounce.providers.parsing import parse_grades

PEERS = (Peer("A", "x", claims=("1", "2")), Peer("B", "y", claims=("3",)))
E, C, S = Stance.ENTAILS, Stance.CONTRADICTS, Stance.SILENT


def claim(number: object, stance: object = "entails", evidence: str = "because") -> dict[str, object]:
    return {"id": number, "evidence": evidence, "stance": stance}


def grade(label: object = "A", score: object = 3, claims: object = ()) -> dict[str, Any]:
    given_ = {"evidence": "e", "score": score}
    return {
        "label": label,
        "claims": claims,
        "correctness": given_,
        "safety": {"score": 4},
        "completeness": given_,
    }


def graded(*grades: object) -> tuple[Grade, ...]:
    return parse_grades(json.dumps({"grades": grades}, ensure_ascii=False), PEERS)


WHOLE = json.dumps(
    {
        "grades": [
            grade("A", 3, [claim("c1", "contradicts", 'no, "never"'), claim("c2")]),
            grade("B", 4, [claim("c1")]),
        ]
    }
)


def test_grades_come_in_the_order_of_the_peers_with_claims_by_their_ids() -> None:
    b, a = (
        grade("B", claims=[claim("c1", "silent")]),
        grade("A", claims=[claim("c2"), claim("c1", "contradicts")]),
    )
    first, second = graded(b, a)
    assert [first.label, second.label] == ["A", "B"]
    assert (first.stances, second.stances) == ((C, E), (S,))
    assert first.claims[0] is not None
    assert first.claims[0].evidence == "because"
    assert first.mean == pytest.approx(10 / 12)
    assert first.whole
    assert second.whole


@each_row(
    "score, read",
    [
        (0, 0), (4, 4), (4.0, 4), ("4", 4), ("４", 4), ("3/4", 3), ("3 / 4", 3), ("2.0", 2), ("3点", 3),
        ("3 out of 4", 3),
        (3.5, 3), (0.5, 0), (3.6, 4), ("3.5", 3),
        (5, None), (-1, None), (4.5, None), (None, None), (True, None), (float("inf"), None),
        (float("nan"), None),
        (10**30, None), ("3/5", None), ("good", None), ("", None), ([3], None), ("-1", None), ("40", None),
    ],
)  # fmt: skip
def test_a_score_is_read_in_words_too_and_one_that_is_none_costs_nothing_else(
    score: object, read: int | None
) -> None:
    (only,) = graded(grade(score=score, claims=[claim("c1"), claim("c2")]))
    assert (only.correctness.value if only.correctness else None) == read
    assert only.safety is not None
    assert only.stances == (E, E)
    assert only.mean == pytest.approx((2 * read + 4) / 12 if read is not None else 1.0)


def test_a_bare_number_is_a_score() -> None:
    (only,) = graded({"label": "A", "claims": [], "correctness": 3, "safety": "4", "completeness": {}})
    assert [s.value if s else None for s in only.scores] == [3, 4, None]


@each_row(
    "label",
    ["A", " a ", "Ａ", "回答A", "回答 Ａ", "Answer A", "answer_a", "[A]", "(A)", "「A」", "A.", "Expert A:"],
)
def test_a_label_is_known_however_it_is_dressed(label: str) -> None:
    (only,) = graded(grade(label))
    assert only.label == "A"


@each_row("label", ["Z", "AB", "", "A and B", "alpha", 7, None, ["A"], {"x": 1}, True])
def test_a_label_that_nobody_has_is_ignored(label: object) -> None:
    assert [g.label for g in graded(grade(label), grade("B"))] == ["B"]


def test_the_first_of_two_grades_for_one_label_counts() -> None:
    (only,) = graded("x", None, grade("A", 1), grade("回答A", 4))
    assert only.correctness is not None
    assert only.correctness.value == 1


@each_row(
    "reply, peers, labels",
    [
        ({"grades": [{**grade(), "label": None}]}, PEERS[:1], "A"),
        ({"grades": [{**grade(), "label": None}]}, PEERS, ""),
        ({"grades": {"A": grade(None), "回答B": grade(None)}}, PEERS, "AB"),
        (grade("B"), PEERS, "B"),
    ],
)
def test_grades_are_read_by_label_alone_or_without_a_label_where_there_is_one_peer(
    reply: object, peers: tuple[Peer, ...], labels: str
) -> None:
    assert [g.label for g in parse_grades(json.dumps(reply), peers)] == list(labels)


@each_row(
    "claims, stances",
    [
        ([claim("c1"), claim("c2", "contradicts")], (E, C)),
        ([claim("C2 "), claim(1, "silent")], (S, E)),
        ([claim("2"), claim("claim 1", "silent")], (S, E)),
        ([claim("主張２"), claim("ｃ１", "silent")], (S, E)),
        ([claim("c1", "contradicts"), claim("c1"), claim("c9"), claim("c0"), claim("x")], (C, None)),
        ([claim("c1", "Entails "), claim("c2", "ＥＮＴＡＩＬＳ")], (E, E)),
        ([claim("c1", "agrees"), claim("c2", "supports")], (None, None)),
        ([claim("c1", None), claim("c2", ["entails"])], (None, None)),
        ([{"stance": "entails"}, {"stance": "contradicts"}], (None, None)),  # whose they are nobody says
        ({"c1": {"stance": "entails"}, "c2": "contradicts"}, (E, None)),
        ("c1 entails", (None, None)),
        (None, (None, None)),
    ],
)
def test_stances_go_by_the_ids_of_the_claims_and_no_other_word_is_taken_for_one(
    claims: object, stances: tuple[Stance | None, ...]
) -> None:
    (only,) = graded(grade(claims=claims))
    assert only.stances == stances


@each_row("reply", [WHOLE, f"```json\n{WHOLE}", f"Here you are: {WHOLE}"])
def test_of_a_reply_that_breaks_off_everything_before_counts(reply: str) -> None:
    whole = parse_grades(reply, PEERS)
    assert len(whole) == 2
    most = 0
    for cut in range(len(reply)):
        found = parse_grades(reply[:cut], PEERS)
        known = sum(item is not None for g in found for item in (*g.claims, *g.scores))
        assert known >= most, "a longer reply lost something"
        most = known
        for part in found:
            full = next(g for g in whole if g.label == part.label)
            pairs = [*zip(part.claims, full.claims, strict=True), *zip(part.scores, full.scores, strict=True)]
            assert all(cut_off is None or cut_off == there for cut_off, there in pairs)
    assert most >= 8


def test_a_cut_number_is_not_taken_for_a_score() -> None:
    reply = '{"grades": [{"label": "A", "claims": [], "correctness": {"evidence": "e", "score": 3'
    assert parse_grades(reply, PEERS) == ()


@given(st.text(max_size=300))
def test_no_reply_raises(reply: str) -> None:
    parse_grades(reply, PEERS)
    parse_grades('{"grades": [' + reply, PEERS)


@settings(max_examples=examples(40))
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=6),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["grades", "label", "claims", "id", "stance", "safety"]), inner)
        ),
    )
)
def test_no_document_raises_and_what_is_read_is_in_range(document: object) -> None:
    for found in parse_grades(json.dumps(document), PEERS):
        assert len(found.claims) in {1, 2}
        assert all(s is None or 0 <= s.value <= 4 for s in found.scores)
