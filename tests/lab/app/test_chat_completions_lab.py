"""The OpenAI-compatible door, with the official client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from api_keys import NEEDED, keys_of, make_key, with_key
from orchestrator import serving
from pool import Pool
from servers import Server, wait_for

pytestmark = pytest.mark.lab


def client(server: Server, key: str = "not-needed") -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"{server.url}/v1",
        api_key=key,
        max_retries=0,
        http_client=httpx.Client(trust_env=False, timeout=60),
    )


def test_an_answer_its_stream_and_the_models_as_the_official_client_reads_them(shared: Pool) -> None:
    with client(shared.app()) as api:
        tiers = [f"techsapo-{tier}" for tier in ("basic", "premium", "critical", "cascade")]
        assert [m.id for m in api.models.list()] == [*tiers, *(f"{name}+notes" for name in tiers)]
        question = [{"role": "user", "content": "Dockerコンテナが起動しない"}]
        whole = api.chat.completions.create(model="techsapo-premium", messages=question)  # type: ignore[arg-type]
        text = whole.choices[0].message.content
        assert text is not None
        assert "（シミュレーション）" in text
        assert whole.choices[0].finish_reason == "stop"
        assert whole.usage is not None
        assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens > 0
        extra = whole.model_extra or {}
        assert extra["techsapo"]["simulated"] is True
        assert extra["techsapo"]["cache"] == "miss"
        stream = api.chat.completions.create(
            model="techsapo-premium",
            messages=question,  # type: ignore[arg-type]
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(stream)
        assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == text
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.total_tokens == 0, "a kept answer is billed by nobody"
        assert {c.id for c in chunks} == {chunks[0].id}


def test_a_conversation_and_tuning_parameters_are_accepted(shared: Pool) -> None:
    with client(shared.app()) as api:
        told = api.chat.completions.create(
            model="techsapo-basic",
            messages=[
                {"role": "system", "content": "Answer briefly."},
                {"role": "user", "content": [{"type": "text", "text": "disk full"}]},
                {"role": "assistant", "content": "Which disk?"},
                {"role": "user", "content": "/var"},
            ],
            temperature=0.2,
            max_tokens=100,
        )
    assert told.choices[0].message.content


def test_tools_are_refused_so_that_the_client_says_which_parameter(shared: Pool) -> None:
    tool = {
        "type": "function",
        "function": {"name": "df", "parameters": {"type": "object", "properties": {}}},
    }
    called = {"id": "c1", "type": "function", "function": {"name": "df", "arguments": "{}"}}
    messages: list[Any] = [
        {"role": "user", "content": "disk full"},
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "c1", "content": "100% /var"},
    ]
    with client(shared.app()) as api:
        with pytest.raises(openai.BadRequestError) as refused:
            api.chat.completions.create(model="techsapo-basic", messages=messages, tools=[tool])  # type: ignore[list-item]
        assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "tools")
        told = api.chat.completions.create(
            model="techsapo-basic",
            messages=messages,
            tools=[tool],  # type: ignore[list-item]
            tool_choice="none",
        )
        assert told.choices[0].message.content


def test_errors_are_the_clients_own_kinds(tmp_path: Path) -> None:
    with serving(tmp_path, **NEEDED) as app:
        key = make_key(keys_of(app), "ci", per_minute=6)
        wait_for(lambda: with_key(app, key).status_code == 200, what="key known")
        message = [{"role": "user", "content": "x"}]
        with client(app, "wrong") as api, pytest.raises(openai.AuthenticationError) as refused:
            api.chat.completions.create(model="techsapo-basic", messages=message)  # type: ignore[arg-type]
        assert (refused.value.code, refused.value.type) == ("invalid_api_key", "invalid_request_error")
        with client(app, key) as api:
            with pytest.raises(openai.NotFoundError) as missing:
                api.chat.completions.create(model="no-such", messages=message)  # type: ignore[arg-type]
            assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
            with pytest.raises(openai.BadRequestError) as unsupported:
                api.chat.completions.create(model="techsapo-basic", messages=message, n=2)  # type: ignore[arg-type]
            assert unsupported.value.param == "n"
            with pytest.raises(openai.BadRequestError) as empty:
                api.chat.completions.create(model="techsapo-basic", messages=[])

            def ask_often() -> None:
                for _ in range(8):
                    api.chat.completions.create(model="techsapo-basic", messages=message)  # type: ignore[arg-type]

            with pytest.raises(openai.RateLimitError) as limited:
                ask_often()
            assert empty.value.code == "empty_array"
        assert limited.value.code == "rate_limit_exceeded"
        assert int(limited.value.response.headers["retry-after"]) >= 1


def test_a_stream_that_can_not_begin_has_the_right_status(tmp_path: Path) -> None:
    with (
        serving(tmp_path, budget={"monthly_usd": 0.0000001, "count_simulated": True}) as app,
        client(app) as api,
    ):
        with pytest.raises(openai.APIStatusError) as refused:
            api.chat.completions.create(
                model="techsapo-basic", messages=[{"role": "user", "content": "x"}], stream=True
            )
        assert refused.value.status_code == 402
        assert refused.value.code == "insufficient_quota"
