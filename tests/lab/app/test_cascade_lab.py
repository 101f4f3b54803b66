"""A cascade by the real command: two calls where the check agrees, booked, counted, stored and streamed."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from orchestrator import QUICK, ask, serving
from spending import series

pytestmark = pytest.mark.lab

PRICES = {"sim-a": 9.0, "sim-b": 3.0, "sim-c": 1.0}
PRICED = {
    name: {**each, "price": {"input": PRICES[name], "output": PRICES[name]}} for name, each in QUICK.items()
}


def test_two_calls_are_made_and_paid_where_the_check_agrees(tmp_path: Path) -> None:
    with serving(tmp_path, providers=PRICED) as server:
        first = ask(server, "disk full", task_type="cascade").json()
        again = ask(server, "disk full", task_type="cascade").json()
        panel = ask(server, "disk full", task_type="premium").json()
        counted = series(server, "techsapo_wallbounce_requests_total")
    assert (first["task_type"], first["tier"], first["outcome"]) == ("cascade", "cascade", "accepted")
    assert first["answered_by"] == "sim-c"
    assert [(g["grader"], g["subject"]) for g in first["grades"]] == [("sim-b", "sim-c")]
    assert first["notes"] == []
    assert first["evidence"]["models"] == ["simulated-2", "simulated-3"]
    assert 0 < first["cost_usd"] < panel["cost_usd"] / 2
    assert (again["cache"], panel["tier"], len(panel["providers"])) == ("hit", "premium", 3)
    assert sum(count for labels, count in counted.items() if 'task_type="cascade"' in labels) >= 1


def test_a_stream_tells_of_the_answer_the_check_and_the_verdict(tmp_path: Path) -> None:
    with serving(tmp_path, providers=PRICED) as server:
        question = {"prompt": "disk full", "task_type": "cascade"}
        headers = {"Accept": "text/event-stream"}
        told = httpx.post(f"{server.url}/api/v1/generate", json=question, headers=headers, timeout=60).text
    events = [line.removeprefix("event: ") for line in told.splitlines() if line.startswith("event: ")]
    assert events == ["asked", "answered", "grading", "graded", "settled", "verdict"]


def test_a_dangerous_question_is_answered_by_the_panel(tmp_path: Path) -> None:
    with serving(tmp_path, providers=PRICED) as server:
        told = ask(server, "disk full: may I run `rm -rf /var/log`?", task_type="cascade").json()
    assert (told["tier"], told["escalations"][0]["reason"]) == ("premium", "dangerous_question")
    assert len(told["providers"]) == 3
