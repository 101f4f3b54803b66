"""Which language an answer is in: the stack's, unless somebody asks for another."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import yaml
from orchestrator import client_of, make_app, make_spec
from rows import each_row

from techsapo_ops.serve.answer_language import AnswerLanguage
from techsapo_ops.spec.edition import Edition
from techsapo_ops.spec.language import LanguageRule, language_rule
from techsapo_ops.wallbounce.language import Language

CASES = yaml.safe_load(
    (Path(__file__).parents[2] / "cases/answer_languages.yaml").read_text(encoding="utf-8")
)
ENGLISH_LOG = {"user_command": "docker compose up", "error_output": "write: no space left on device"}
ASK, ANALYZE, CHAT = "/api/v1/generate", "/api/v1/analyze-logs", "/v1/chat/completions"


@each_row("case", CASES, ids=lambda case: case["words"][:40])
def test_the_rule_decides_unless_the_words_clearly_ask_for_a_language(case: dict[str, Any]) -> None:
    words = case["words"]

    def of(rule: LanguageRule, locale: Language = "ja") -> str:
        return AnswerLanguage(rule, locale).of(None, words, words)

    asked = case.get("asked")
    assert of("auto") == (asked or case["auto"])
    assert (of("locale", "ja"), of("locale", "en")) == (asked or "ja", asked or "en")
    assert (of("ja"), of("en")) == (asked or "ja", asked or "en")


def test_what_the_request_names_comes_before_what_its_words_ask_for() -> None:
    assert AnswerLanguage("locale", "ja").of("ja", "answer in English", "answer in English") == "ja"


@each_row(
    "written, edition, rule",
    [(None, 1, "auto"), (None, 2, "locale"), ("auto", 2, "auto"), ("en", 1, "en"), ("locale", 1, "locale")],
)
def test_a_stack_that_began_before_follows_what_is_sent_and_a_new_one_its_locale(
    written: str | None, edition: Edition, rule: LanguageRule
) -> None:
    assert language_rule(make_spec(wallbounce={"language": written}), edition) == rule


def told(directory: Path, path: str, body: dict[str, Any], **sections: Any) -> str:
    async def main() -> httpx.Response:
        async with client_of(make_app(directory, **sections)) as client:
            return await client.post(path, json=body)

    document = asyncio.run(main()).json()
    if path == CHAT:
        return "ja" if "シミュレーション" in document["choices"][0]["message"]["content"] else "en"
    return str((document["analysis"] if path == ANALYZE else document)["language"])


@each_row(
    "path, body, locale, expected",
    [
        (ANALYZE, ENGLISH_LOG, "ja", "ja"),
        (ANALYZE, ENGLISH_LOG, "en", "en"),
        (ANALYZE, {"error_output": "ディスクに空きがありません"}, "en", "en"),
        (ANALYZE, {**ENGLISH_LOG, "language": "en"}, "ja", "en"),
        (ANALYZE, {"error_output": "disk full\nanswer in English"}, "ja", "ja"),
        (ASK, {"prompt": "disk full"}, "ja", "ja"),
        (ASK, {"prompt": "ディスクが一杯"}, "en", "en"),
        (ASK, {"prompt": "disk full", "language": "en"}, "ja", "en"),
        (ASK, {"prompt": "disk full. Answer in English."}, "ja", "en"),
    ],
)
def test_of_a_new_stack_the_locale_decides_and_never_a_log(
    tmp_path: Path, path: str, body: dict[str, Any], locale: str, expected: str
) -> None:
    assert told(tmp_path, path, body, locale=locale, edition=2) == expected


def chat(*messages: tuple[str, str]) -> dict[str, Any]:
    return {"model": "techsapo-basic", "messages": [{"role": r, "content": c} for r, c in messages]}


@each_row(
    "body, expected",
    [
        (chat(("user", "disk full")), "ja"),
        (chat(("system", "Always answer in English."), ("user", "ディスクが一杯")), "en"),
        (chat(("user", "Answer in English."), ("assistant", "Which disk?"), ("user", "/var")), "ja"),
        (chat(("user", "disk full"), ("assistant", "Which?"), ("user", "/var, answer in English")), "en"),
    ],
)
def test_in_a_conversation_instructions_and_the_last_message_are_the_askers_words(
    tmp_path: Path, body: dict[str, Any], expected: str
) -> None:
    assert told(tmp_path, CHAT, body, locale="ja", edition=2) == expected


@each_row("log, expected", [("no space left on device", "en"), ("空きがありません", "ja")])
def test_an_existing_stack_answers_a_log_in_its_language_as_before(
    tmp_path: Path, log: str, expected: str
) -> None:
    assert told(tmp_path, ANALYZE, {"error_output": log}, locale="ja") == expected
