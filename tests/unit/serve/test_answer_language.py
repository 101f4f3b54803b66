"""Which language an answer is in, and a problem: the stack's, unless somebody asks for another."""

from __future__ import annotations

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
from instances import post, send
from orchestrator import make_app
from rows import each_row

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.messages import msg
from techsapo_ops.serve.answers.asking import AnswerLanguage
from techsapo_ops.serve.http.problems import Problem, reader_language
from techsapo_ops.spec.models.app import LanguageRule
from techsapo_ops.wallbounce.question import Language

CASES = read_yaml((Path(__file__).parents[2] / "cases/answer_languages.yaml").read_text(encoding="utf-8"))
ENGLISH_LOG = {"user_command": "docker compose up", "error_output": "write: no space left on device"}
ASK, ANALYZE, CHAT = "/api/v1/generate", "/api/v1/analyze-logs", "/v1/chat/completions"


@each_row("case", CASES, ids=lambda case: case["words"][:40])
def test_the_rule_decides_unless_the_words_clearly_ask_for_a_language(case: dict[str, Any]) -> None:
    words = case["words"]

    def of(rule: LanguageRule, locale: Language = "ja") -> str:
        return AnswerLanguage(rule, locale).of(None, words, lambda: words)

    asked = case.get("asked")
    assert of("auto") == (asked or case["auto"])
    assert (of("locale", "ja"), of("locale", "en")) == (asked or "ja", asked or "en")
    assert (of("ja"), of("en")) == (asked or "ja", asked or "en")


def test_what_the_request_names_comes_before_what_its_words_ask_for() -> None:
    assert AnswerLanguage("locale", "ja").of("ja", "answer in English", str) == "ja"


Asked = list[tuple[str, dict[str, Any], str]]
"""Where to, what is asked, and the language that its answer is to be in."""


def misunderstood(directory: Path, asked: Asked, **sections: Any) -> Asked:
    """What of `asked` is answered in another language."""

    answers = send(make_app(directory, **sections), *(("POST", path, {"json": b}) for path, b, _ in asked))
    return [each for each, answer in zip(asked, answers, strict=True) if told(each[0], answer) != each[2]]


def told(path: str, answer: httpx.Response) -> str:
    document = answer.json()
    if path == CHAT:
        return "ja" if "シミュレーション" in document["choices"][0]["message"]["content"] else "en"
    return str((document["analysis"] if path == ANALYZE else document)["language"])


def test_the_locale_decides_and_never_a_log(tmp_path: Path) -> None:
    japanese: Asked = [
        (ANALYZE, ENGLISH_LOG, "ja"),
        (ANALYZE, {**ENGLISH_LOG, "language": "en"}, "en"),
        (ANALYZE, {"error_output": "disk full\nanswer in English"}, "ja"),
        (ASK, {"prompt": "disk full"}, "ja"),
        (ASK, {"prompt": "disk full", "language": "en"}, "en"),
        (ASK, {"prompt": "disk full. Answer in English."}, "en"),
    ]
    english: Asked = [
        (ANALYZE, ENGLISH_LOG, "en"),
        (ANALYZE, {"error_output": "ディスクに空きがありません"}, "en"),
        (ASK, {"prompt": "ディスクが一杯"}, "en"),
    ]
    assert misunderstood(tmp_path / "ja", japanese, locale="ja") == []
    assert misunderstood(tmp_path / "en", english, locale="en") == []


def test_a_log_in_another_language_than_the_stacks_is_analysed_once(tmp_path: Path) -> None:
    def asked(locale: str) -> tuple[str, ...]:
        app = make_app(tmp_path / locale, locale=locale)
        replies = [answer.json()["cache"] for answer in post(app, ANALYZE, ENGLISH_LOG, ENGLISH_LOG)]
        metrics = app.metrics.render("")[0].decode().splitlines()
        return (*replies, *(line for line in metrics if line.startswith("techsapo_llm_requests_total")))

    japanese, english = asked("ja"), asked("en")
    assert japanese == english
    assert japanese[:2] == ("miss", "hit")


def chat(*messages: tuple[str, str]) -> dict[str, Any]:
    return {"model": "techsapo-basic", "messages": [{"role": r, "content": c} for r, c in messages]}


def test_in_a_conversation_instructions_and_the_last_message_are_the_askers_words(tmp_path: Path) -> None:
    english = ("system", "Always answer in English.")
    asked: Asked = [
        (CHAT, chat(("user", "disk full")), "ja"),
        (CHAT, chat(english, ("user", "ディスクが一杯")), "en"),
        (CHAT, chat(("user", "Answer in English."), ("assistant", "Which disk?"), ("user", "/var")), "ja"),
        (CHAT, chat(("user", "disk"), ("assistant", "Which?"), ("user", "/var, answer in English")), "en"),
    ]
    assert misunderstood(tmp_path, asked, locale="ja") == []


def scope(*accepted: str, path: str = "/api/v1/generate") -> dict[str, Any]:
    return {"path": path, "headers": [(b"accept-language", told.encode("latin-1")) for told in accepted]}


@each_row(
    "accepted, language",
    [
        ([], "en"),
        ([""], "en"),
        (["ja"], "ja"),
        (["ja-JP,ja;q=0.9,en;q=0.8"], "ja"),
        (["en-US,en;q=0.9,ja;q=0.8"], "en"),
        (["en;q=0.5, ja;q=0.8"], "ja"),
        (["ja;q=0"], "en"),
        (["fr, de;q=0.9"], "en"),
        (["fr, ja;q=0.1"], "ja"),
        (["*"], "en"),
        (["fr", "JA"], "ja"),
        (["ja;q=much"], "en"),
        (["ja;q=nan, en;q=0.1"], "en"),
        (["jax, enx"], "en"),
        (["en;q=0.5, ja-JP"], "ja"),
        (["ja;q=2, en;q=0.1"], "en"),
        (["ja;q=-1, fr"], "en"),
        (["ja;q=0.9, ja-JP;q=0"], "ja"),
        ([",".join(["x"] * 32) + ",ja"], "en"),
        ([",".join(["x"] * 9000) + ",ja"], "en"),
        (["\xff\xfe;;==,,ja"], "ja"),
    ],
)
def test_the_language_that_a_request_wants(accepted: list[str], language: str) -> None:
    assert reader_language(scope(*accepted)) == language


def test_a_problem_in_japanese() -> None:
    told = msg("unknown field; see /openapi.json")
    problem = Problem(
        422, "invalid_request", told, errors=[{"field": "prompt", "message": msg("is missing")}]
    )
    english, japanese = (json.loads(problem.answer(scope(told)).body) for told in ("en", "ja"))
    assert (english["title"], english["errors"][0]["message"]) == (HTTPStatus(422).phrase, "is missing")
    assert japanese["title"] == "内容を処理できません"
    assert "/openapi.json" in japanese["detail"]
    assert japanese["detail"] != english["detail"]
    assert japanese["errors"][0]["message"] == "ありません"
    for stable in ("type", "status", "code"):
        assert japanese[stable] == english[stable]
    assert japanese["errors"][0]["field"] == "prompt"
