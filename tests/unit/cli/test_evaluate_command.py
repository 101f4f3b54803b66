"""`techsapo eval` against a stand-in of the orchestrator: what it counts as spent, and how a run ends."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_ask_command import ANSWER, Ask, Orchestrator, ask, orchestrator

from techsapo_ops.wallbounce.evaluation import saved

__all__ = ["ask", "orchestrator"]
RIGHT = {**ANSWER, "outcome": "accepted"}
COST = RIGHT["cost_usd"]
FAILED: dict[str, Any] = {
    "title": "Bad Gateway", "status": 502, "code": "providers_failed", "request_id": "req_2",
    "detail": "none",
    "providers": [
        {"name": name, "error": {"kind": "unavailable", "message": "away"}, "cost_usd": cost}
        for name, cost in (("a", 0.0025), ("b", 0.001))
    ],
}  # fmt: skip
PAGE = (502, b"<html>Bad Gateway</html>")


@pytest.fixture
def folder(tmp_path: Path, orchestrator: Orchestrator) -> Path:
    """Three cases, which the stand-in answers rightly unless it is told otherwise."""
    orchestrator.answers(RIGHT)
    cases = [
        {"id": f"case-{n}", "question": f"what is {n}?", "language": "en", "must_say": ["df"]}
        for n in range(3)
    ]
    (tmp_path / "cases.yaml").write_text(yaml.safe_dump(cases), encoding="utf-8")
    return tmp_path


def replies(orchestrator: Orchestrator, *each: tuple[int, bytes]) -> None:
    """What is answered first; what may pass is asked about twice."""
    orchestrator.before = list(each)


def test_its_questions_say_by_their_ids_that_nobody_waits_for_them(
    orchestrator: Orchestrator, ask: Ask, folder: Path
) -> None:
    assert ask(str(folder), "--url", orchestrator.url, command="eval").code == 0
    assert len(set(orchestrator.ids)) == 3
    assert all(each is not None and each.startswith("eval_") for each in orchestrator.ids)


def test_what_failed_attempts_cost_counts_as_spent_and_ends_a_run_at_its_budget(
    orchestrator: Orchestrator, ask: Ask, folder: Path
) -> None:
    failed = (502, json.dumps(FAILED).encode())
    replies(orchestrator, failed, failed)
    made = json.loads(ask(str(folder), "--url", orchestrator.url, "--json", command="eval").out)
    assert (made["asked"], made["ended"]) == (2, "failed")
    assert made["spent_usd"] == pytest.approx(2 * 0.0035 + 2 * COST)
    replies(orchestrator, failed)  # asked again, it is answered
    options = ("--url", orchestrator.url, "--json", "--budget", "0.01")
    made = json.loads(ask(str(folder), *options, command="eval").out)
    assert (made["asked"], made["ended"]) == (2, "budget"), "three would cost as much as the first one"
    assert made["spent_usd"] == pytest.approx(0.0035 + 2 * COST)


def test_a_question_of_which_nobody_knows_what_it_cost_takes_as_much_as_the_dearest(
    orchestrator: Orchestrator, ask: Ask, folder: Path
) -> None:
    answered = (200, json.dumps({**RIGHT, "cost_usd": 0.004}).encode())
    replies(orchestrator, answered, PAGE, PAGE)
    said = ask(str(folder), "--url", orchestrator.url, "--budget", "0.01", command="eval")
    assert "case-1: the cost is not known; 0.0040 USD of the budget are set aside" in said.err
    assert "1 of 3 cases answered, 0.0040 USD (the next case might not fit into the budget)" in said.out


def test_a_resumed_run_counts_what_attempts_without_an_answer_cost_before(
    orchestrator: Orchestrator, ask: Ask, folder: Path
) -> None:
    failed = (502, json.dumps(FAILED).encode())
    options = ("--url", orchestrator.url, "--json", "--save", str(folder / "run.jsonl"))
    replies(orchestrator, failed, failed)
    assert ask(str(folder), *options, command="eval").code == 1
    made = json.loads(ask(str(folder), *options, "--budget", "0.01", command="eval").out)
    assert (made["asked"], made["ended"]) == (2, "budget"), "as much was spent before"
    assert made["spent_usd"] == pytest.approx(2 * 0.0035 + 2 * COST)
    made = json.loads(ask(str(folder), *options, command="eval").out)
    assert (made["asked"], made["ended"]) == (3, "all")
    assert made["spent_usd"] == pytest.approx(2 * 0.0035 + 3 * COST)


def test_an_answer_that_can_t_be_stored_does_not_make_the_others_unanswered(
    orchestrator: Orchestrator, ask: Ask, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, lines = saved._append, []

    def full(descriptor: int, line: str) -> None:
        lines.append(line)
        if len(lines) == 4:  # the run's own, and one for each case
            raise OSError(errno.ENOSPC, "No space left on device")
        append(descriptor, line)

    monkeypatch.setattr(saved, "_append", full)
    baseline = folder / "baseline.json"
    baseline.write_text('{"overall": {"accuracy": {"low": 0.5}, "overconfident": null}}', encoding="utf-8")
    words = ("--url", orchestrator.url, "--save", str(folder / "run.jsonl"), "--baseline", str(baseline))
    said = ask(str(folder), *words, command="eval")
    assert said.code == 1
    assert "3 of 3 cases answered" in said.out
    assert "(an answer could not be stored)" in said.out
    assert "not all cases were answered" not in said.err
