"""Problems in the language of who asks: title and detail, and never what a program goes by."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from rows import each_row

from techsapo_ops.messages import msg
from techsapo_ops.serve.problems import Problem, reader_language


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
    told = msg("unknown field; /openapi.json lists those that there are")
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
