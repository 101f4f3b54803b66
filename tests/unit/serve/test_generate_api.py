from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from instances import URL, get, post, send, until
from orchestrator import QUICK, client_of, make_app
from rows import each_row

from techsapo_ops.serve.app import App
from techsapo_ops.serve.http.problems import MEDIA_TYPE
from techsapo_ops.spec.models.app import MAX_BODY

SLOW = {name: {**provider, "latency": "30s"} for name, provider in QUICK.items()}


def ask(app: App, **body: Any) -> httpx.Response:
    (answer,) = post(app, URL, body)
    return answer


def problem(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == MEDIA_TYPE
    body = response.json()
    assert body["status"] == response.status_code
    assert body["request_id"] == response.headers["x-request-id"]
    return response.status_code, body["code"]


def test_an_answer_comes_with_scores_costs_and_every_providers_part(tmp_path: Path) -> None:
    body = ask(make_app(tmp_path), prompt="Dockerコンテナが起動しない", task_type="premium").json()
    assert body["answer"].startswith("（シミュレーション）")
    stated = ("simulated", "calibrated", "provisional", "accepted", "language")
    assert [body[name] for name in stated] == [True, False, True, True, "ja"]
    assert [p["name"] for p in body["providers"]] == ["sim-a", "sim-b", "sim-c"]
    assert body["cost_usd"] == pytest.approx(sum(p["cost_usd"] for p in body["providers"]))
    assert body["thresholds"] == {"confidence": 0.8, "consensus": 0.6}


def test_a_cache_of_zero_seconds_is_off(tmp_path: Path) -> None:
    answers = post(make_app(tmp_path, wallbounce={"cache_ttl": "0s"}), URL, {"prompt": "x"}, {"prompt": "x"})
    assert [answer.json()["cache"] for answer in answers] == ["miss", "miss"]


def test_one_failing_provider_is_shown_beside_the_answer(tmp_path: Path) -> None:
    providers = {"sim-a": QUICK["sim-a"], "sim-b": {**QUICK["sim-b"], "rate_limit_rate": 1}}
    question = {"prompt": "disk full"}
    first, again = post(make_app(tmp_path, providers=providers), URL, question, question)
    body = first.json()
    assert again.json()["cache"] == "miss", "an answer that lacks somebody is not kept"
    assert (body["accepted"], body["notes"], body["consensus"]) == (False, ["sole_answer"], None)
    assert body["confidence"] <= 0.5
    failed = body["providers"][1]
    assert (failed["status"], failed["error"]["kind"]) == ("failed", "rate_limited")


def test_all_providers_failing_is_a_problem_that_names_each(tmp_path: Path) -> None:
    down = {name: {**provider, "error_rate": 1} for name, provider in QUICK.items()}
    response = ask(make_app(tmp_path / "a", providers=down), prompt="x")
    assert problem(response) == (502, "providers_failed")
    assert [p["error"]["kind"] for p in response.json()["providers"]] == ["unavailable"] * 3
    busy = {name: {**provider, "rate_limit_rate": 1} for name, provider in QUICK.items()}
    response = ask(make_app(tmp_path / "b", providers=busy), prompt="x")
    assert problem(response) == (503, "providers_failed")
    assert response.headers["retry-after"] == "2"


def test_what_is_not_accepted_is_a_problem_with_a_stable_code(tmp_path: Path) -> None:
    app = make_app(tmp_path, app={"limits": {"max_prompt": 100}})
    cases: list[tuple[dict[str, Any] | bytes, tuple[int, str]]] = [
        ({"prompt": ""}, (422, "invalid_request")),
        ({"prompt": " \n"}, (422, "invalid_request")),
        ({"prompt": "x" * 101}, (422, "prompt_too_long")),
        ({"prompt": "x" * MAX_BODY}, (413, "body_too_large")),
        ({}, (422, "invalid_request")),
        ({"prompt": 5}, (422, "invalid_request")),
        ({"prompt": "x", "task_type": "huge"}, (422, "invalid_request")),
        ({"prompt": "x", "promt": "y"}, (422, "invalid_request")),
        (b"{", (400, "malformed_json")),
        (b"", (422, "invalid_request")),
        (b"[1]", (422, "invalid_request")),
        (b"\xff\xfe{}", (400, "malformed_json")),
    ]
    answers = post(app, URL, *(body for body, _ in cases))
    assert [problem(answer) for answer in answers] == [expected for _, expected in cases]


@each_row("content_type", ["text/plain", ""])
def test_a_body_that_is_not_said_to_be_json_is_refused(tmp_path: Path, content_type: str) -> None:
    (answer,) = post(make_app(tmp_path), URL, b'{"prompt": "x"}', **{"Content-Type": content_type})
    assert answer.status_code == 415


def test_a_stranger_is_refused_before_the_body_is_looked_at(tmp_path: Path) -> None:
    app = make_app(tmp_path, app={"auth": {"required": True, "keys_file": str(tmp_path / "none.json")}})
    paths = (URL, "/api/v1/analyze-logs", "/v1/chat/completions")
    answers = send(app, *(("POST", path, {"content": b"{"}) for path in paths))
    assert [answer.status_code for answer in answers] == [401] * 3


def test_a_validation_problem_never_repeats_what_was_sent(tmp_path: Path) -> None:
    response = ask(make_app(tmp_path), prompt={"secret": "hunter2"})
    assert response.status_code == 422
    assert "hunter2" not in response.text


async def test_beyond_the_limit_of_concurrent_analyses_it_says_come_back(tmp_path: Path) -> None:
    limits = {"concurrency": 1, "request_timeout": "3s"}
    app = make_app(tmp_path, providers=SLOW, app={"limits": limits})
    async with client_of(app) as client:
        first = asyncio.create_task(client.post(URL, json={"prompt": "a"}))
        await until(client, "techsapo_inflight_analyses 1.0")
        refused, slow = await client.post(URL, json={"prompt": "b"}), await first
    assert problem(refused) == (503, "overloaded")
    assert int(refused.headers["retry-after"]) >= 1
    assert problem(slow) == (504, "timeout")


def test_a_question_that_may_cost_too_much_is_refused(tmp_path: Path) -> None:
    app = make_app(tmp_path, budget={"per_request_usd": 0.0001, "count_simulated": True})
    assert problem(ask(app, prompt="x")) == (402, "over_request_budget")


def test_a_question_that_no_whole_day_can_pay_is_not_told_to_wait_for_the_next(tmp_path: Path) -> None:
    app = make_app(tmp_path, budget={"daily_usd": 0.01, "count_simulated": True})
    refused = ask(app, prompt="x")
    assert problem(refused) == (402, "budget_exhausted")
    assert "more than the budget for a whole day ($0.01)" in refused.json()["detail"]


def test_a_tier_that_no_day_can_pay_is_told_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, Any]] = []

    class Log:
        def warning(self, _event: str, **fields: Any) -> None:
            told.append(fields)

    monkeypatch.setattr("techsapo_ops.serve.answers.analyst.log", Log())

    async def warmed(budget: dict[str, Any]) -> list[str]:
        told.clear()
        for each in make_app(tmp_path, budget=budget).lifecycle.at_warm:
            each()
        return [fields["taskType"] for fields in told]

    dear = {"monthly_usd": 1, "daily_usd": 0.1, "count_simulated": True}
    assert asyncio.run(warmed(dear)) == ["premium", "critical", "cascade"]
    assert told[0]["limit"] == 0.1
    assert asyncio.run(warmed({**dear, "daily_usd": 1})) == []
    assert asyncio.run(warmed({**dear, "count_simulated": False})) == []


def test_unknown_paths_and_methods_are_problems_too(tmp_path: Path) -> None:
    missing, wrong = send(make_app(tmp_path), ("GET", "/api/v2/generate", {}), ("DELETE", URL, {}))
    assert problem(missing) == (404, "not_found")
    assert problem(wrong) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "POST"
    assert wrong.json()["detail"] == "this address accepts POST"


def test_an_unforeseen_error_is_answered_and_tells_nothing_of_the_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("the inside")

    monkeypatch.setattr("techsapo_ops.serve.metrics.health.Health.basic", broken)
    (response,) = get(make_app(tmp_path), "/health")
    assert problem(response) == (500, "internal_error")
    assert "the inside" not in response.text


async def test_a_sane_request_id_is_kept_and_any_other_replaced(tmp_path: Path) -> None:
    kept = ["req_12345", "a.b-C_9", "x" * 128]
    replaced = ["x" * 129, "", "a b", "<script>", "-dash"]
    async with client_of(make_app(tmp_path)) as client:
        sent = [{"X-Request-ID": given} for given in (*kept, *replaced)]
        returned = [(await client.get("/ping", headers=each)).headers["x-request-id"] for each in sent]
    assert returned[:3] == kept
    assert all(returned)
    assert not set(returned[3:]) & set(replaced)


def test_every_answer_carries_the_security_headers(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    for response in get(app, "/", "/docs", "/nope", "/metrics", "/web/ask.js"):
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert "unsafe" not in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"
