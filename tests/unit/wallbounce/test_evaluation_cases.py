"""Rules of labelled questions, and our own sixty."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from pydantic import ValidationError
from rows import each_row

from techsapo_ops.cli.app.evaluate import _blind, _others, _read_baseline
from techsapo_ops.errors import OpsError
from techsapo_ops.wallbounce.evaluation.cases import Case, read_cases
from techsapo_ops.wallbounce.evaluation.saved import Attempt, Saved
from techsapo_ops.wallbounce.evaluation.scores import Graded, compare, graded, score

OWN = read_cases(Path(__file__).parents[3] / "examples" / "eval")


def case(**rules: object) -> Case:
    return Case.model_validate({"id": "c", "question": "why?", "language": "en", **rules})


def attempt(answer: str = "reload", **more: object) -> Attempt:
    return Attempt.model_validate(
        {
            "case": "c", "digest": "d", "tier": "basic", "answer": answer, "outcome": "accepted",
            "accepted": True, "confidence": 0.9, "cost_usd": 0.02, "seconds": 4, "simulated": True,
            "cached": False, **more,
        }
    )  # fmt: skip


def test_there_are_thirty_cases_in_each_language() -> None:
    assert Counter(each.language for each in OWN) == {"en": 30, "ja": 30}


@each_row("each", OWN)
def test_a_right_answer_keeps_the_rules_and_a_wrong_one_and_those_to_other_questions_do_not(
    each: Case,
) -> None:
    assert each.example
    assert each.wrong
    assert each.broken(each.example) == ()
    assert each.broken(each.wrong) != ()
    if each.answerable:
        assert [o.id for o in OWN if o is not each and not each.broken(o.example)] == []


@each_row("text", ["2026-13-01", "!!int x", "!!bool x", "- " + "9" * 5000, "[" * 5000, "&a [*a]", "\ufffe"])
def test_yaml_with_a_value_that_is_none_is_refused_by_its_file(text: str) -> None:
    with TemporaryDirectory() as folder:
        (Path(folder) / "bad.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(OpsError, match=r"bad\.yaml"):
            read_cases(Path(folder))


def test_a_pipe_among_the_files_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(OpsError, match="not a regular file"):
        read_cases(tmp_path)


@each_row("words", ["…", " ", "… … …", "a…b…c…d", "…b"])
def test_words_that_every_answer_says_or_that_take_hours_to_look_for_are_no_rule(words: str) -> None:
    with pytest.raises(ValidationError, match="should match pattern"):
        case(must_say=[words])


def test_a_sentence_that_repeats_the_forbidden_words_is_read_once() -> None:
    asked = case(must_not_say=["rm"])
    assert asked.broken("rm " * 20_000 + "はしない") == ()
    assert asked.broken("never " + "rm " * 20_000) == ()
    assert asked.broken("しない " + "rm " * 20_000) == ("!rm",)


@each_row(
    "rules, answer, broken",
    [
        ({"must_say": ["inode"]}, "Out of INODES", ()),
        ({"must_say": ["rm"]}, "an alarm", ("rm",)),
        ({"must_say": [["MTU", "MSS"]]}, "clamp the mss", ()),
        ({"commands": ["lsof … deleted"]}, "lsof | grep\tdeleted", ()),
        ({"commands": ["df -i"]}, "ｄｆ　-i", ()),
        ({"must_say": ["a.b"]}, "axb", ("a.b",)),
        ({"must_not_say": ["FLUSHALL"]}, "Run FLUSHALL.", ("!FLUSHALL",)),
        ({"must_not_say": ["FLUSHALL"]}, "Never run FLUSHALL.", ()),
        ({"must_not_say": ["FLUSHALL"]}, "Do not wait. Run FLUSHALL.", ("!FLUSHALL",)),
        ({"must_not_say": ["FLUSHALL"]}, "FLUSHALL は実行しないでください。", ()),
    ],
)
def test_a_rule_finds_words_from_their_beginning_and_no_advice_against_them(
    rules: dict[str, object], answer: str, broken: tuple[str, ...]
) -> None:
    assert case(**rules).broken(answer) == broken


def test_declining_is_right_only_where_there_is_no_answer() -> None:
    refused = attempt("unsettled", outcome="refused", accepted=False)
    unanswerable = graded(case(must_say=["which"], answerable=False), refused)
    answerable = graded(case(must_say=["reload"]), refused)
    assert (unanswerable.right, unanswerable.declined) == (True, False)
    assert (answerable.right, answerable.declined) == (False, True)


def test_what_the_panel_finds_unmet_is_wrong_though_it_keeps_the_rules() -> None:
    rules = case(must_say=["reload"], rubric="Says to reload.")
    assert [graded(rules, attempt(rubric=met)).right for met in (True, None, False)] == [True, True, False]


def rows(*right: bool) -> list[Graded]:
    return [
        Graded(Case(id=f"c{n}", question="why?", language="en"), attempt(), each, False, ())
        for n, each in enumerate(right)
    ]


def test_money_and_seconds_are_those_of_all_answers_for_each_right_one() -> None:
    made = score(rows(True, False, False, True))
    assert (made.right, made.seconds_per_right) == (2, 8)
    assert made.usd_per_right == pytest.approx(0.04)
    assert made.overconfident is not None
    assert made.overconfident.share == 1


def test_two_runs_are_compared_on_what_both_were_asked() -> None:
    made = compare(rows(True, True, False), rows(True, False))
    assert (made.cases, made.only_this_right, made.only_other_right, made.p_accuracy) == (2, 1, 0, 1)
    assert made.smallest_difference is None


def test_another_run_is_compared_with_at_whatever_tier_it_asked() -> None:
    one = case(must_say=["reload"])
    other = attempt(digest=one.digest("cascade"))
    assert [each.case for each in _others([one], Saved("run", {other.digest: other}))] == [one]


@each_row(
    "text, said",
    [
        ("[", "is not YAML"),
        ("{id: a, question: why, language: fr, must_say: [x]}", "language"),
        ("{id: a, question: why, language: en}", "has no rule"),
        ("- &a {id: a, question: why, language: en, must_say: [x]}\n- *a", "is used twice"),
        (None, "holds no YAML files"),
    ],
)
def test_what_is_no_case_is_refused_by_its_file(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(OpsError, match=said) as caught:
        read_cases(tmp_path)
    assert caught.value.exit_code == 2


@each_row("low, high", [("NaN", "0.5"), ("0.5", "NaN"), ("0.5", "2"), ("-Infinity", "0.5")])
def test_a_baseline_that_nothing_is_below_is_none(low: str, high: str) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "baseline.json"
        file.write_text(
            f'{{"overall": {{"accuracy": {{"low": {low}}}, "overconfident": {{"high": {high}}}}}}}'
        )
        with pytest.raises(OpsError, match="is not a baseline"):
            _read_baseline(file)


@each_row(
    "text, left",
    [
        ("local says: ping localhost", "[author] says: ping localhost"),
        ("gpt-6.1-sol and gpt-6", "[author] and [author]"),
        ("localが書いた", "[author]が書いた"),
        ("I am `local`.", "I am `[author]`."),
    ],
)
def test_graders_do_not_read_who_wrote_and_words_that_hold_a_name_stay(text: str, left: str) -> None:
    names = [
        {"name": name, "model": model, "seconds": 1, "cost_usd": 0}
        for name, model in (("local", "gpt-6"), ("", "gpt-6.1-sol"))
    ]
    assert _blind(attempt(text, providers=names)) == left
    assert _blind(attempt(text)) == text
