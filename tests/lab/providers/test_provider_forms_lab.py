"""What a refusal teaches of how to ask, headers and fields of one's own, and thoughts beside the answer."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from asking import KEY, KINDS, QUESTION, ask, make
from rows import each_row
from vendors import ANSWER, Vendor, vendor
from vendors.wires import WIRES

from techsapo_ops.wallbounce.answers import Answer
from techsapo_ops.wallbounce.providers.failures import Cause, ProviderError
from techsapo_ops.wallbounce.providers.provider import AskAnswer

pytestmark = pytest.mark.lab


Reply = tuple[int, dict[str, Any]]


def told(message: str, **more: Any) -> Reply:
    return 400, {"error": {"message": message, "type": "invalid_request_error", **more}}


OLDER = told("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", param="max_tokens", code="unsupported_parameter")  # fmt: skip # noqa: E501
NEWER = 422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "max_completion_tokens"], "msg": "Extra inputs are not permitted"}]}  # fmt: skip # noqa: E501
NO_SCHEMA = told("response_format json_schema is not supported by this model")
TOO_MANY = told("max_tokens is too large: 99999. This model supports at most 16384 completion tokens.", param="max_tokens", code="invalid_value")  # fmt: skip # noqa: E501
GOOD = 200, WIRES["openai-compatible"].reply("m", json.dumps(ANSWER))


BUSY = 503, {"error": {"message": "busy"}}
FIELDS = {"t": "max_tokens", "c": "max_completion_tokens"}


@each_row(
    "replies, ends, fields",
    [
        ([OLDER, NO_SCHEMA, GOOD], [None], "tcc"),
        ([OLDER, GOOD, NEWER, GOOD], [None, None], "tcct"),
        ([OLDER, NEWER], ["max_completion_tokens"], "tc"),
        ([TOO_MANY], ["at most 16384"], "t"),
        ([OLDER, BUSY, GOOD], ["busy", None], "tct"),
    ],
    ids=[
        "limit and schema in one question", "a server replaced by another", "neither field is taken",
        "too large a limit", "it did not help",
    ],
)  # fmt: skip
def test_what_a_refusal_teaches_is_tried_once_and_remembered_where_it_helped(
    replies: list[Reply], ends: list[str | None], fields: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, Any]] = []

    async def play(seen: Vendor, wire: Any, request: web.Request, asked: Any) -> web.StreamResponse:
        sent.append(asked.body)
        status, body = replies[min(len(sent), len(replies)) - 1]
        return web.json_response(body, status=status)

    async def main() -> None:
        async with vendor(WIRES["openai-compatible"]) as seen:
            provider = make("openai-compatible", seen.url, "m")
            for words in ends:
                if words is None:
                    assert isinstance(await provider.call(AskAnswer(QUESTION)), Answer)
                    continue
                with pytest.raises(ProviderError, match=words) as caught:
                    await provider.call(AskAnswer(QUESTION))
                assert caught.value.cost_usd == 0
                assert (caught.value.cause is Cause.PARAMETER) is (words != "busy")
            await provider.close()

    monkeypatch.setattr("vendors.play", play)
    asyncio.run(main())
    assert [key for body in sent for key in body if key.startswith("max_")] == [FIELDS[f] for f in fields]
    schemas = ["response_format" in body for body in sent]
    assert schemas == [True] * (len(sent) - 1) + [NO_SCHEMA not in replies]


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
