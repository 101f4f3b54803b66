"""What chat completions take and refuse, by OpenAI's codes; what they count; and the verdict in the text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from instances import URL, post, samples
from openai.types.chat import CompletionCreateParams, completion_create_params
from orchestrator import QUICK, client_of, make_app
from rows import each_row

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.serve.answers.answers import Prompts
from techsapo_ops.serve.app import App
from techsapo_ops.serve.bodies.chat import REFUSED, TAKEN, WITHOUT_EFFECT
from techsapo_ops.wallbounce.question import Composed

CASES = read_yaml((Path(__file__).parents[2] / "cases/chat_requests.yaml").read_text(encoding="utf-8"))
CHAT = "/v1/chat/completions"
GOOD = {"model": "techsapo-basic", "messages": [{"role": "user", "content": "disk full"}]}


def chat(directory: Path, *bodies: Any, **sections: Any) -> list[httpx.Response]:
    return post(make_app(directory, **sections), CHAT, *bodies)


def test_what_can_not_be_done_is_refused_by_openais_code(tmp_path: Path) -> None:
    bodies = [{**GOOD, **case.get("body", {})} for case in CASES["refused"]]
    for body, case in zip(bodies, CASES["refused"], strict=True):
        body.pop(case.get("without"), None)
    for case, answer in zip(CASES["refused"], chat(tmp_path, *bodies), strict=True):
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"], error["type"]) == (
            case.get("status", 400), case["code"], case["param"], "invalid_request_error",
        ), case  # fmt: skip
        assert error["message"]
        assert answer.json()["problem"] == case.get("problem", case["code"])


def test_what_asks_for_nothing_else_is_answered(tmp_path: Path) -> None:
    bodies = [{**GOOD, **more} for more in CASES["accepted"]]
    for body, answer in zip(bodies, chat(tmp_path, *bodies), strict=True):
        assert answer.status_code == 200, (body, answer.text)
        assert answer.json()["choices"][0]["message"]["content"], body


def test_every_parameter_of_openais_client_is_known() -> None:
    names = set(CompletionCreateParams.__args__[0].__annotations__)  # type: ignore[attr-defined]
    names |= set(completion_create_params.CompletionCreateParamsBase.__annotations__)
    known = {*TAKEN, *WITHOUT_EFFECT, *REFUSED}
    assert known - names == {"language"}
    assert names - known == set()


def test_a_conversation_says_what_was_called_and_what_came_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Composed] = []
    question = Prompts.question

    async def listening(self: Prompts, prompt: Composed, *rest: Any) -> Any:
        seen.append(prompt)
        return await question(self, prompt, *rest)

    monkeypatch.setattr(Prompts, "question", listening)
    chat(tmp_path, {**GOOD, **CASES["accepted"][-1]})
    (prompt,) = seen
    assert prompt.parts == (
        ("system", "Be brief."), ("developer", "Be brief."), ("user", "why?"), ("assistant", "df({})"),
        ("tool", "100% full"), ("assistant", "du({})"), ("tool", "90G /var/log"),
        ("assistant", "shell(ls /var/log)"), ("tool", "syslog"), ("assistant", "I can't."),
        ("user", "why?\nwhich disk?"),
    )  # fmt: skip


def test_a_body_that_is_no_object_and_one_that_is_no_json_are_told_in_openais_shape(tmp_path: Path) -> None:
    told = chat(tmp_path, b"[]", b"{", b"")
    assert {a.status_code for a in told} == {400}
    codes = [a.json()["error"]["code"] for a in told]
    assert codes == ["invalid_type", "malformed_json", "invalid_request"]


def test_too_long_a_conversation_is_what_openais_clients_cut(tmp_path: Path) -> None:
    message = {"role": "user", "content": "x" * 30}
    (answer,) = chat(tmp_path, {**GOOD, "messages": [message]}, app={"limits": {"max_prompt": 20}})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "context_length_exceeded")
    assert answer.json()["problem"] == "prompt_too_long"


def counted(app: App, direction: str) -> int:
    """Tokens of all calls to providers, as the metrics have them."""
    found = samples(app.metrics.render("")[0].decode()).items()
    wanted = ("direction", direction)
    return int(sum(n for (name, k), n in found if name == "techsapo_llm_tokens_total" and wanted in k))


async def test_usage_counts_every_call_that_was_billed_and_nothing_of_a_kept_answer(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with client_of(app) as client:
        one = (await client.post(CHAT, json=GOOD)).json()
        billed = (counted(app, "input"), counted(app, "output"))
        again = (await client.post(CHAT, json=GOOD)).json()
    usage = one["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == billed
    assert usage["total_tokens"] == sum(billed) > 0
    assert usage["prompt_tokens_details"] == {"cached_tokens": 0, "cache_write_tokens": 0}
    assert usage["completion_tokens_details"] == {"reasoning_tokens": 0}
    assert again["usage"]["total_tokens"] == again["techsapo"]["cost_usd"] == 0


def test_the_answer_of_the_api_says_what_all_calls_took_beside_each_answers_own(tmp_path: Path) -> None:
    told = post(make_app(tmp_path), URL, {"prompt": "x"})[0].json()
    for direction in ("input", "output"):
        answers = sum(p["tokens"][direction] for p in told["providers"])
        assert told["tokens"][direction] > answers, "gradings are billed too"


@each_row("stream", [False, True])
@each_row("locale, words", [("ja", "判定"), ("en", "Verdict")])
def test_a_model_with_notes_has_the_verdict_and_the_dissent_in_its_text(
    tmp_path: Path, locale: str, words: str, stream: bool
) -> None:
    split = {
        n: {**p, "accuracy": accuracy} for (n, p), accuracy in zip(QUICK.items(), (1, 0, 1), strict=True)
    }
    body = {**GOOD, "model": "techsapo-premium+notes", "stream": stream}
    plain = {**GOOD, "model": "techsapo-premium"}
    told, bare = chat(tmp_path, body, plain, providers=split, locale=locale)
    if stream:
        chunks = [line[6:] for line in told.text.splitlines() if line.startswith("data: {")]
        choices = [c for chunk in chunks for c in json.loads(chunk)["choices"]]
        text = "".join(choice["delta"].get("content", "") for choice in choices)
        verdict = json.loads(chunks[-1])["techsapo"]
    else:
        text = told.json()["choices"][0]["message"]["content"]
        verdict = told.json()["techsapo"]
    below = text.partition("\n---\n")[2]
    assert text.startswith(bare.json()["choices"][0]["message"]["content"])
    assert words in below
    assert f"{verdict['confidence']:.2f}" in below
    assert f"{verdict['consensus']:.2f}" in below
    assert "sim-b" in below, "who sees it otherwise is named"
    assert bare.json()["techsapo"]["cache"] == "hit", "it is the same answer"


async def test_the_models_are_the_tiers_and_each_with_notes(tmp_path: Path) -> None:
    async with client_of(make_app(tmp_path)) as client:
        models = [m["id"] for m in (await client.get("/v1/models")).json()["data"]]
        paths = (*models, "techsapo-basic%2Bnotes", "techsapo-basic+", "gpt-6.1-sol")
        found = [(await client.get(f"/v1/models/{name}")).status_code for name in paths]
    tiers = ("basic", "premium", "critical", "cascade")
    assert models == [f"techsapo-{t}" for t in tiers] + [f"techsapo-{t}+notes" for t in tiers]
    assert found == [200] * 9 + [404] * 2


def test_in_a_stream_there_are_comments_and_chunks_alone(tmp_path: Path) -> None:
    (answer,) = chat(tmp_path, {**GOOD, "stream": True, "stream_options": {"include_usage": True}})
    lines = [line for line in answer.text.splitlines() if line]
    assert lines[0] == ": asked"
    assert {line[:6] for line in lines if not line.startswith(":")} == {"data: "}
    assert lines[-1] == "data: [DONE]"
    usage = json.loads(lines[-2][6:])
    assert (usage["choices"], usage["usage"]["total_tokens"] > 0) == ([], True)
