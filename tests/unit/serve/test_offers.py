"""What the API tells before, and after, a question: tiers, and answers again."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from instances import URL, send
from orchestrator import make_app

from techsapo_ops.serve.answers.reading import Offers
from techsapo_ops.wallbounce.question import Question


def test_each_tier_says_whom_it_asks_and_what_that_costs_at_most(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    question = {"json": {"prompt": "disk full"}}
    asked, told, long = send(
        app,
        ("POST", URL, question),
        ("GET", "/api/v1/tiers", {}),
        ("GET", "/api/v1/tiers?characters=4000", {}),
    )
    basic, premium, critical, cascade = told.json()["tiers"]
    assert told.json()["simulated"] is True
    assert [p["name"] for p in basic["providers"]] == ["sim-a", "sim-b"]
    assert (len(premium["providers"]), critical["wanted"], len(critical["providers"])) == (3, 4, 3)
    assert (basic["confidence"], basic["consensus"]) == (0.7, 0.6)
    assert 0 < basic["most_usd"] < long.json()["tiers"][0]["most_usd"]
    assert (cascade["wanted"], len(cascade["providers"]), cascade["confidence"]) == (2, 2, 0.8)
    assert cascade["most_usd"] > premium["most_usd"], "its panel and the check before it"
    assert basic["most_usd"] >= asked.json()["cost_usd"]


def test_an_answer_is_given_again_by_its_id_where_its_question_had_a_key_to_be_repeated(
    tmp_path: Path,
) -> None:
    question = {
        "json": {"prompt": "disk full"},
        "headers": {"Idempotency-Key": "k", "X-Request-ID": "mine-1"},
    }
    other = {"json": {"prompt": "disk full"}, "headers": {"X-Request-ID": "mine-2"}}
    asked, found, marked, unkept, unknown, bad = send(
        make_app(tmp_path),
        ("POST", URL, question),
        ("GET", "/api/v1/answers/mine-1", {}),
        ("GET", "/api/v1/answers/mine-1?html=true", {}),
        ("POST", URL, other),
        ("GET", "/api/v1/answers/mine-2", {}),
        ("GET", "/api/v1/answers/%20x", {}),
    )
    assert found.json() == asked.json()
    assert marked.json()["answer_html"].startswith("<p>")
    assert unkept.status_code == 200
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    assert bad.status_code == 422


def test_the_id_of_an_answer_leads_to_the_first_one_that_had_it(tmp_path: Path) -> None:
    def question(key: str, prompt: str) -> dict[str, Any]:
        return {"json": {"prompt": prompt}, "headers": {"Idempotency-Key": key, "X-Request-ID": "same"}}

    first, second, again, found = send(
        make_app(tmp_path),
        ("POST", URL, question("a", "disk full")),
        ("POST", URL, question("b", "port closed")),
        ("POST", URL, question("b", "port closed")),
        ("GET", "/api/v1/answers/same", {}),
    )
    assert second.json()["answer"] != first.json()["answer"]
    assert found.json() == first.json()
    assert again.json() == second.json(), "it is repeated by its own key all the same"


def test_a_question_is_as_long_as_it_may_be() -> None:
    class Bounce:
        def rule(self, _: str) -> object:
            return SimpleNamespace(providers=2, confidence=0.5, consensus=0.5)

        def chosen(self, _: str) -> tuple[()]:
            return ()

        def worst_case(self, question: Question, _: str) -> float:
            return float(len(question.text))

    made = Offers(Bounce(), 100, simulated=False)  # type: ignore[arg-type]
    assert [made.body(characters).tiers[0].most_usd for characters in (10, 5000)] == [10.0, 100.0]
