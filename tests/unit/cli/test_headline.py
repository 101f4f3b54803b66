"""The verdict in one sentence: how the answers are divided, and what to do now."""

from __future__ import annotations

from typing import Any

from rows import each_row

from techsapo_ops.cli.app.answer_view import headline


def answers(*agreeing: bool | None) -> list[dict[str, Any]]:
    return [{"status": "answered", "agrees": agrees} for agrees in agreeing]


@each_row(
    "providers, accepted, checks, said",
    [
        (answers(True, True, False), False, [{}], "The answers are split 2 to 1. Check this first:"),
        (answers(True, True, True), True, [{}], "3 answers agree. The thresholds are met."),
        (answers(True, None), False, [], "The answers could not be compared. The thresholds are not met"),
        ([*answers(True), {"status": "failed"}], False, [], "There is only one answer"),
    ],
)
def test_one_sentence_says_how_the_answers_are_divided_and_what_to_do(
    providers: list[dict[str, Any]], accepted: bool, checks: list[dict[str, Any]], said: str
) -> None:
    body = {"providers": providers, "accepted": accepted, "checks": checks}
    assert headline(body).startswith(said)


def test_a_checked_answer_of_a_cascade_is_not_called_alone() -> None:
    body = {"providers": answers(True), "grades": [{"grader": "b"}], "accepted": True}
    assert headline(body) == "One model answered, and another checked the answer. The thresholds are met."
