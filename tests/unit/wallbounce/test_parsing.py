from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rows import each_row

from techsapo_ops.wallbounce.answers import Risk
from techsapo_ops.wallbounce.providers.parsing import parse_answer, split_confidence

FIELDS: dict[str, Any] = {
    "answer": "再起動します",
    "root_cause": "設定の誤り",
    "claims": ["a", "b"],
    "commands": ["systemctl restart x"],
    "risk": "reversible",
    "self_conf": 0.8,
}


def answer(**changed: Any) -> str:
    return json.dumps({**FIELDS, **changed}, ensure_ascii=False)


@each_row(
    "reply",
    [
        answer(),
        f"  \n{answer()}\n",
        f"```json\n{answer()}\n```",
        f"Here it is:\n```\n{answer()}\n```\nDone {{}}.",
        f"Sure! {answer()} Anything else?",
        answer().replace("します", "し\nます"),
    ],
)
def test_a_structured_answer_is_found_wherever_it_stands(reply: str) -> None:
    fields = parse_answer(reply)
    assert fields.structured
    assert fields.root_cause == "設定の誤り"
    assert (fields.claims, fields.commands) == (("a", "b"), ("systemctl restart x",))
    assert (fields.risk, fields.self_confidence) == (Risk.REVERSIBLE, 0.8)


@each_row(
    "changed, name, expected",
    [
        ({"claims": [str(n) for n in range(50)]}, "claims", tuple("01234567")),
        ({"claims": "not a list"}, "claims", ()),
        ({"claims": ["ok", 3, None, "", {"x": 1}]}, "claims", ("ok",)),
        ({"commands": None}, "commands", ()),
        ({"root_cause": ["x"]}, "root_cause", ""),
        ({"root_cause": "x" * 9999}, "root_cause", "x" * 500),
        ({"risk": "harmless"}, "risk", None),
        ({"risk": {"a": 1}}, "risk", None),
        ({"self_conf": 1.5}, "self_confidence", None),
        ({"self_conf": True}, "self_confidence", None),
        ({"self_conf": float("nan")}, "self_confidence", None),
        ({"self_conf": 10**400}, "self_confidence", None),
        ({"self_conf": "0.9"}, "self_confidence", None),
        ({"answer": "a\ud800b"}, "text", "a\ufffdb"),
    ],
)
def test_a_field_that_is_not_what_it_should_be_is_left_empty(
    changed: dict[str, Any], name: str, expected: object
) -> None:
    fields = parse_answer(json.dumps({**FIELDS, **changed}))
    assert fields.structured
    assert getattr(fields, name) == expected


@each_row(
    "reply, text, whole",
    [
        ('{"answer": "途中で切', "途中で切", False),
        ('{"answer": "quote \\"x\\" and cut \\u30', 'quote "x" and cut', False),
        ('{"answer": "ends in a backslash \\', "ends in a backslash", False),
        ('{"answer": "whole", "claims": ["a', "whole", True),
        ("ただの文章です", "ただの文章です", True),
        ("{not json at all}", "{not json at all}", True),
        ('{"other": 1}', '{"other": 1}', True),
        ("[" * 100_000, "[" * 100_000, True),
        ('{"a":' * 100_000, '{"a":' * 100_000, True),
        ("", "", True),
    ],
)
def test_everything_else_is_plain_text(reply: str, text: str, whole: bool) -> None:
    fields = parse_answer(reply)
    assert (fields.text.strip(), fields.whole, fields.structured) == (text, whole, False)
    assert (fields.claims, fields.risk) == ((), None)


@given(st.integers(0, len(answer())))
def test_an_answer_cut_anywhere_is_never_taken_for_a_whole_one(cut: int) -> None:
    fields = parse_answer(answer()[:cut])
    assert fields.structured == (cut == len(answer()))


@each_row(
    "text, expected",
    [
        ("再起動します。\nconfidence: 0.85", ("再起動します。", 0.85)),
        ("Restart it.\n\nConfidence：1.00\n", ("Restart it.", 1.0)),
        ("no line at all", ("no line at all", None)),
        ("confidence: 1.7", ("confidence: 1.7", None)),
        ("confidence: 0.5 is what they say.", ("confidence: 0.5 is what they say.", None)),
        ("confidence: 0.5", ("", 0.5)),
        ("x" * 500 + "\nconfidence: 0.5", ("x" * 500, 0.5)),
    ],
)
def test_the_stated_confidence_is_taken_off_the_answers_end(
    text: str, expected: tuple[str, float | None]
) -> None:
    assert split_confidence(text) == expected
