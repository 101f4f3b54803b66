"""What a refusal teaches of how to ask, headers and fields of one's own, and thoughts beside the answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aiohttp import web
from asking import KEY, KINDS, QUESTION, ask, make
from rows import each_row
from vendors import ANSWER, Vendor, vendor
from vendors.chats import OpenAIChat
from vendors.wires import WIRES

from techsapo_ops.wallbounce.answers import Answer
from techsapo_ops.wallbounce.asks import AskAnswer
from techsapo_ops.wallbounce.failures import Cause, ProviderError

pytestmark = pytest.mark.lab


@each_row("stream", [False, True])
def test_an_endpoint_that_names_the_other_field_for_the_limit_is_asked_by_it_from_then_on(
    stream: bool,
) -> None:
    async def main() -> Vendor:
        async with vendor(OpenAIChat()) as seen:
            provider = make("openai-compatible", seen.url, "gpt-6.1-sol", stream=stream)
            for _ in range(2):
                answer = await provider.call(AskAnswer(QUESTION))
                assert isinstance(answer, Answer)
                assert answer.structured
            await provider.close()
        return seen

    seen = asyncio.run(main())
    assert len(seen.refused) == 1, "the second question begins with what the first one taught"
    for asked in seen.asked:
        assert "max_tokens" not in asked.body
        assert asked.body["max_completion_tokens"]


Reply = tuple[int, dict[str, Any]]


@contextmanager
def replies(monkeypatch: pytest.MonkeyPatch, *given: Reply) -> Iterator[list[dict[str, Any]]]:
    """Answer calls by these, one after the other, the last one for ever; the bodies that were sent."""
    sent: list[dict[str, Any]] = []

    async def play(seen: Vendor, wire: Any, request: web.Request, asked: Any) -> web.StreamResponse:
        sent.append(asked.body)
        status, body = given[min(len(sent), len(given)) - 1]
        return web.json_response(body, status=status)

    monkeypatch.setattr("vendors.play", play)
    yield sent


def told(message: str, **more: Any) -> Reply:
    return 400, {"error": {"message": message, "type": "invalid_request_error", **more}}


OLDER = told("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", param="max_tokens", code="unsupported_parameter")  # fmt: skip # noqa: E501
NEWER = 422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "max_completion_tokens"], "msg": "Extra inputs are not permitted"}]}  # fmt: skip # noqa: E501
NO_SCHEMA = told("response_format json_schema is not supported by this model")
TOO_MANY = told("max_tokens is too large: 99999. This model supports at most 16384 completion tokens.", param="max_tokens", code="invalid_value")  # fmt: skip # noqa: E501
GOOD = 200, WIRES["openai-compatible"].reply("m", json.dumps(ANSWER))


def limits(sent: list[dict[str, Any]]) -> list[str]:
    return [key for body in sent for key in body if key.startswith("max_")]


def test_the_limit_and_the_schema_are_learned_in_one_question(monkeypatch: pytest.MonkeyPatch) -> None:
    with replies(monkeypatch, OLDER, NO_SCHEMA, GOOD) as sent:
        answer, _ = ask("openai-compatible", "m")
    assert isinstance(answer, Answer), answer
    assert limits(sent) == ["max_tokens", "max_completion_tokens", "max_completion_tokens"]
    assert ["response_format" in body for body in sent] == [True, True, False]


def test_the_other_way_round_it_is_learned_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is replaced by another while the app runs."""

    async def main(sent: list[dict[str, Any]]) -> None:
        async with vendor(WIRES["openai-compatible"]) as seen:
            provider = make("openai-compatible", seen.url, "m")
            for _ in range(2):
                await provider.call(AskAnswer(QUESTION))
            await provider.close()

    with replies(monkeypatch, OLDER, GOOD, NEWER, GOOD) as sent:
        asyncio.run(main(sent))
    assert limits(sent) == ["max_tokens", *["max_completion_tokens"] * 2, "max_tokens"]


def test_an_endpoint_that_takes_neither_field_is_asked_twice_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with replies(monkeypatch, OLDER, NEWER) as sent:
        error, _ = ask("openai-compatible", "m")
    assert isinstance(error, ProviderError)
    assert "max_completion_tokens" in error.message
    assert limits(sent) == ["max_tokens", "max_completion_tokens"]
    assert error.cost_usd == 0


def test_a_limit_that_is_too_large_is_told_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with replies(monkeypatch, TOO_MANY) as sent:
        error, _ = ask("openai-compatible", "m", max_output_tokens=99_999)
    assert isinstance(error, ProviderError)
    assert (error.cause, len(sent)) == (Cause.PARAMETER, 1)
    assert "at most 16384" in error.message


def test_what_was_tried_and_did_not_help_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with vendor(WIRES["openai-compatible"]) as seen:
            provider = make("openai-compatible", seen.url, "m")
            with pytest.raises(ProviderError):
                await provider.call(AskAnswer(QUESTION))
            await provider.call(AskAnswer(QUESTION))
            await provider.close()

    with replies(monkeypatch, OLDER, (503, {"error": {"message": "busy"}}), GOOD) as sent:
        asyncio.run(main())
    assert limits(sent) == ["max_tokens", "max_completion_tokens", "max_tokens"]


@each_row("stream", [False, True])
def test_where_no_endpoint_behind_openrouter_takes_the_schema_it_is_asked_in_words(stream: bool) -> None:
    lacking = "lab/no-schema"
    given = {"provider": {"require_parameters": True}}
    answer, seen = ask("openrouter", lacking, stream=stream, extra_body=given, max_output_tokens=4096)
    assert isinstance(answer, Answer), answer
    assert answer.structured, "it kept to the schema all the same"
    assert [r.status for r in seen.refused] == [404]
    assert [a.schema is None for a in seen.asked] == [True]
    assert seen.asked[0].body["provider"] == {"require_parameters": True}


@each_row("kind", KINDS)
def test_headers_of_the_spec_stand_in_place_of_ours_and_no_message_holds_them(kind: str) -> None:
    name = {"anthropic": "X-Api-Key", "google": "X-Goog-Api-Key"}.get(kind, "authorization")
    held = "sk-of-a-header" if kind in {"anthropic", "google"} else "Bearer sk-of-a-header"
    echo = {"status": 401, "body": {"error": {"message": "no such key: {key}"}}}
    error, seen = ask(kind, "m", reply=echo, headers={name: held})
    assert isinstance(error, ProviderError)
    assert seen.asked[0].key == "sk-of-a-header"
    assert KEY not in error.message
    assert "sk-of-a-header" not in error.message
    assert "********" in error.message


@each_row("kind", KINDS)
def test_a_key_with_a_lines_end_is_sent_without_and_masked_without(kind: str) -> None:
    """As an environment file edited on Windows leaves it."""
    echo = {"status": 401, "body": {"error": {"message": "no such key: {key}"}}}
    error, seen = ask(kind, "m", reply=echo, api_key=f"{KEY}\r")
    assert isinstance(error, ProviderError)
    assert seen.asked[0].key == KEY
    assert KEY not in error.message
