"""The real openai SDK against a loopback vendor."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from orchestrator import client_of, make_parts
from servers import free_port
from vendor import ADVICE, Vendor, vendor

from techsapo_ops.spec.models.app import CompatibleProvider, OpenAIProvider
from techsapo_ops.wallbounce.analysis import TierRule, WallBounce
from techsapo_ops.wallbounce.model import Answer, FailureKind, ProviderError, Question
from techsapo_ops.wallbounce.provider import Price
from techsapo_ops.wallbounce.providers.openai import OpenAICompatible

pytestmark = pytest.mark.lab

KEY = "sk-lab-0123456789"
QUESTION = Question("サービスが起動しない", "ja", "req-1")
PRICE = Price(2.0, 8.0)


def make(kind: str, url: str, model: str, **more: Any) -> OpenAICompatible:
    values = {"kind": kind, "base_url": url, "model": model, "api_key": KEY, "timeout": "10s", **more}
    spec = OpenAIProvider(**values) if kind == "openai" else CompatibleProvider(**values)
    return OpenAICompatible("lab", spec, PRICE)


def ask(kind: str, model: str, **more: Any) -> tuple[Answer | ProviderError, Vendor]:
    async def main() -> tuple[Answer | ProviderError, Vendor]:
        async with vendor() as seen:
            provider = make(kind, seen.url, model, **more)
            try:
                return await provider.answer(QUESTION), seen
            except ProviderError as error:
                return error, seen
            finally:
                await provider.close()

    return asyncio.run(main())


def test_chat_completions_answer_a_question() -> None:
    answer, seen = ask("openai-compatible", "good", max_output_tokens=500)
    assert isinstance(answer, Answer)
    assert (answer.text, answer.self_confidence) == (ADVICE, 0.9)
    assert (answer.tokens.input, answer.tokens.output) == (100, 50)
    assert answer.cost_usd == pytest.approx((100 * 2 + 50 * 8) / 1e6)
    (request,) = seen.requests
    assert request["messages"][1] == {"role": "user", "content": QUESTION.text}
    assert "日本語" in request["messages"][0]["content"]
    assert request["max_tokens"] == 500
    assert seen.paths == ["/v1/chat/completions"]
    assert seen.authorizations == [f"Bearer {KEY}"]


def test_the_responses_api_answers_a_question_with_the_specs_effort_and_verbosity() -> None:
    answer, seen = ask("openai", "good", reasoning_effort="low", verbosity="medium")
    assert isinstance(answer, Answer)
    assert (answer.text, answer.self_confidence) == (ADVICE, 0.9)
    assert (answer.tokens.input, answer.tokens.output) == (120, 60)
    (request,) = seen.requests
    assert (request["input"], request["reasoning"], request["text"]) == (
        QUESTION.text,
        {"effort": "low"},
        {"verbosity": "medium"},
    )
    assert request["store"] is False
    assert seen.paths == ["/v1/responses"]


@pytest.mark.parametrize("kind", ["openai", "openai-compatible"])
@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("busy", FailureKind.RATE_LIMITED),
        ("broken", FailureKind.UNAVAILABLE),
        ("overloaded", FailureKind.UNAVAILABLE),
        ("hangs-up", FailureKind.UNAVAILABLE),
        ("unauthorized", FailureKind.REFUSED),
        ("unknown", FailureKind.REFUSED),
        ("truncated", FailureKind.BAD_ANSWER),
        ("other-shape", FailureKind.BAD_ANSWER),
        ("list", FailureKind.BAD_ANSWER),
        ("html", FailureKind.BAD_ANSWER),
        ("cut-off", FailureKind.BAD_ANSWER),
    ],
)
def test_what_goes_wrong_at_the_vendor_is_told_apart(kind: str, model: str, expected: FailureKind) -> None:
    error, seen = ask(kind, model)
    assert isinstance(error, ProviderError)
    assert error.kind is expected, error.message
    assert len(seen.requests) == 1, "the SDK must not retry on its own"
    assert KEY not in error.message
    assert QUESTION.text not in error.message
    if model == "busy":
        assert error.retry_after == 7


def test_a_filtered_question_is_refused() -> None:
    error, _ = ask("openai-compatible", "filtered")
    assert isinstance(error, ProviderError)
    assert error.kind is FailureKind.REFUSED


def test_a_port_where_nobody_listens_is_unavailable() -> None:
    async def main() -> None:
        provider = make("openai-compatible", f"http://127.0.0.1:{free_port()}/v1", "good")
        with pytest.raises(ProviderError) as caught:
            await provider.answer(QUESTION)
        assert caught.value.kind is FailureKind.UNAVAILABLE
        await provider.close()

    asyncio.run(main())


def test_without_a_key_a_local_server_is_asked_all_the_same() -> None:
    answer, _ = ask("openai-compatible", "good", api_key=None)
    assert isinstance(answer, Answer)


@pytest.mark.parametrize("kind", ["openai", "openai-compatible"])
def test_a_slow_vendor_is_cut_off_at_the_deadline_and_hears_of_it(kind: str) -> None:
    async def main() -> None:
        async with vendor() as seen:
            provider = make(kind, seen.url, "slow", timeout="1s")
            rule = TierRule(1, 0.7, 0.6)
            bounce = WallBounce([provider], {"basic": rule, "premium": rule, "critical": rule})
            # The first question also imports the SDK; the deadline must not depend on that.
            await make(kind, seen.url, "good").answer(QUESTION)
            with pytest.raises(Exception, match="timeout"):
                await bounce.analyse(QUESTION, "basic")
            for _ in range(100):
                if seen.dropped:
                    break
                await asyncio.sleep(0.02)
            assert seen.dropped == 1
            await provider.close()

    asyncio.run(main())


@pytest.mark.parametrize("model", ["empty", "huge"])
def test_an_empty_and_an_endless_answer_fail_within_an_analysis(model: str, tmp_path: Path) -> None:
    async def main() -> dict[str, Any]:
        async with vendor() as seen:
            parts = make_parts(tmp_path, providers=compatible(seen, "good", model, "good"))
            async with client_of(parts) as client:
                body = {"prompt": QUESTION.text, "task_type": "premium"}
                response = await client.post("/api/v1/generate", json=body)
                return dict(response.json())

    body = asyncio.run(main())
    assert body["accepted"] is True
    assert body["simulated"] is False
    assert [p["error"]["kind"] for p in body["providers"] if p["status"] == "failed"] == ["bad_answer"]


def test_a_client_that_hangs_up_ends_the_calls_to_the_vendor(tmp_path: Path) -> None:
    from servers import wait_for

    async def main() -> None:
        async with vendor() as seen:
            import orchestrator

            providers = compatible(seen, "slow", "slow")
            with await asyncio.to_thread(
                lambda: _enter(orchestrator.serving(tmp_path, providers=providers))
            ) as server:
                async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
                    url = f"{server.url}/api/v1/generate"
                    call = asyncio.create_task(client.post(url, json={"prompt": "x"}))
                    await asyncio.to_thread(wait_for, lambda: len(seen.requests) == 2, what="both calls")
                    call.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await call
                await asyncio.to_thread(wait_for, lambda: seen.dropped == 2, what="both calls dropped")
                await asyncio.to_thread(wait_for, lambda: "Client gone" in server.log(), what="log line")

    asyncio.run(main())


def compatible(seen: Vendor, *models: str) -> dict[str, Any]:
    return {
        f"p{n}": {
            "kind": "openai-compatible",
            "model": model,
            "base_url": seen.url,
            "api_key": KEY,
            "price": {"input": 1, "output": 2},
        }
        for n, model in enumerate(models)
    }


class _enter:  # noqa: N801 - reads as a with block
    """Enter a blocking context manager in a thread, so that the vendor's loop goes on."""

    def __init__(self, manager: Any) -> None:
        self._manager = manager
        self._value = manager.__enter__()

    def __enter__(self) -> Any:
        return self._value

    def __exit__(self, *error: Any) -> None:
        self._manager.__exit__(*error)
