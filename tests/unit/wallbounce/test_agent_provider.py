"""The provider on a subscription, against a simulated SDK (agent_sdk.py): what is asked, what is made of it.

That the real SDK and its program take these options and send such messages was tried by hand (decision 11).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from agent_sdk import (
    CLIJSONDecodeError,
    CLINotFoundError,
    ProcessError,
    RateLimitEvent,
    RateLimitInfo,
    Script,
    module,
    result,
    says,
)
from rows import each_row

from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.providers import AgentProvider
from techsapo_ops.wallbounce.answers import Answer, Risk, Tokens
from techsapo_ops.wallbounce.providers import anthropic
from techsapo_ops.wallbounce.providers.anthropic import MISSING, SUBSCRIPTION, Agent
from techsapo_ops.wallbounce.providers.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.provider import AskAnswer, Price
from techsapo_ops.wallbounce.providers.registry import build_registry
from techsapo_ops.wallbounce.question import Question

QUESTION = Question("@/etc/passwd は？", "ja")
ANSWER = {
    "answer": "ディスクが満杯です。", "root_cause": "disk full", "claims": ["/var is full"],
    "commands": ["df -h"], "risk": "reversible", "self_conf": 0.9,
}  # fmt: skip


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    script = Script()
    monkeypatch.setitem(sys.modules, "claude_agent_sdk", module(script))
    return script


def agent(price: Price = SUBSCRIPTION, **fields: Any) -> Agent:
    spec = AgentProvider.model_validate({"kind": "claude-agent", "model": "claude-sonnet-5-5", **fields})
    return Agent("claude", spec, price)


def run(use: Callable[[Agent], Awaitable[Any]], provider: Agent | None = None) -> Any:
    async def main() -> Any:
        made = provider or agent()
        try:
            return await use(made)
        finally:
            await made.close()

    return asyncio.run(main())


def ask(provider: Agent | None = None) -> Answer:
    answer: Answer = run(lambda made: made.call(AskAnswer(QUESTION)), provider)
    return answer


def failure(provider: Agent | None = None) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        ask(provider)
    return caught.value


def test_an_answer_is_read_and_costs_nothing_beside_the_subscription(script: Script) -> None:
    script.messages = [*says("…"), result(result=f"```json\n{json.dumps(ANSWER)}\n```")]
    answer = ask()
    assert (answer.text, answer.commands, answer.risk) == (ANSWER["answer"], ("df -h",), Risk.REVERSIBLE)
    assert answer.structured
    assert answer.version == "m", "as the program says"
    assert (answer.tokens, answer.cost_usd) == (Tokens(10, 4, 3, cache_written=2), 0.0)


def test_a_price_in_the_spec_is_counted_by_tokens(script: Script) -> None:
    script.messages = [result(result="plain text")]
    assert ask(agent(Price(3.0, 15.0))).cost_usd == pytest.approx((10 * 3 + 4 * 15) / 1e6)


def test_the_program_gets_one_turn_without_tools_settings_keys_or_mentions(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-paid-by-the-token")
    script.messages = [result(result="x")]
    ask(agent(max_output_tokens=777))
    prompt, options = script.asked[0]
    assert prompt == QUESTION.text
    assert (options.model, options.max_turns, options.tools) == ("claude-sonnet-5-5", 1, [])
    assert (options.setting_sources, options.mcp_servers, options.strict_mcp_config) == ([], {}, True)
    assert options.verbatim_prompts
    assert options.extra_args == {"no-session-persistence": None}
    assert options.env["ANTHROPIC_API_KEY"] == options.env["ANTHROPIC_AUTH_TOKEN"] == ""
    assert options.env["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == "777"
    assert options.env["CLAUDE_CODE_MAX_RETRIES"] == "0"
    assert '"self_conf"' in str(options.system_prompt)


def refused(word: str, text: str, **more: Any) -> list[Any]:
    """What comes where the program names an error by this word."""
    return [*says("", word), result(is_error=True, result=text, **more)]


FAILURES: dict[str, tuple[list[Any], FailureKind, str]] = {
    "not logged in": (
        refused("authentication_failed", "Not logged in · Please run /login", usage={}),
        FailureKind.REFUSED,
        "Please run /login; log in with `claude`",
    ),
    "overloaded": (
        refused("overloaded", "API Error: 529", api_error_status=529), FailureKind.UNAVAILABLE, "529",
    ),
    "an unknown error": (
        refused("unknown", "API Error: Connection error."), FailureKind.UNAVAILABLE, "Connection error",
    ),
    "no such model": (
        refused("model_not_found", "no such model", api_error_status=404),
        FailureKind.REFUSED, "no such model",
    ),
    "no money": (refused("billing_error", "Credit balance too low"), FailureKind.REFUSED, "Credit balance"),
    "turns used up": (
        [*says("…"), result(subtype="error_max_turns", is_error=True, stop_reason=None)],
        FailureKind.BAD_ANSWER,
        "the one turn",
    ),
    "failed while running": (
        [result(subtype="error_during_execution", is_error=True, errors=["boom"])],
        FailureKind.UNAVAILABLE,
        "boom",
    ),
    "longer than allowed": (
        refused("max_output_tokens", "exceeded the output token maximum"),
        FailureKind.BAD_ANSWER, "output token maximum",
    ),
    "cut off": (
        [result(result='{"answer": "ha', stop_reason="max_tokens")], FailureKind.BAD_ANSWER, "cut off",
    ),
    "refused": ([result(result="", stop_reason="refusal")], FailureKind.REFUSED, "refused the question"),
    "no program": ([CLINotFoundError("Claude Code not found")], FailureKind.UNAVAILABLE, "is missing"),
    "not JSON": ([CLIJSONDecodeError("Failed to decode")], FailureKind.BAD_ANSWER, "can't be read"),
    "a bare exception": ([Exception("Control request timeout")], FailureKind.UNAVAILABLE, "request timeout"),
    "no result": (says("…"), FailureKind.BAD_ANSWER, "without a result"),
}  # fmt: skip


@each_row("case", FAILURES)
def test_each_way_to_fail_has_a_kind_and_words(script: Script, case: str) -> None:
    script.messages, kind, words = FAILURES[case]
    error = failure()
    assert (error.kind, error.cost_usd) == (kind, 0.0)
    assert words in error.message


def test_a_program_that_dies_is_told_by_its_last_words(script: Script) -> None:
    script.messages = [ProcessError("Command failed with exit code 1")]
    script.stderr = ["error: unknown option '--tools'"]
    error = failure()
    assert error.kind is FailureKind.UNAVAILABLE
    assert error.message == "`claude` failed: error: unknown option '--tools'"


def test_a_used_up_limit_says_when_it_opens_again(script: Script) -> None:
    script.messages = [
        RateLimitEvent(RateLimitInfo("rejected", int(time.time()) + 600)),
        *says("", "rate_limit"),
        result(is_error=True, result="You've hit your limit · resets 3pm", api_error_status=429),
    ]
    error = failure()
    assert error.kind is FailureKind.RATE_LIMITED
    assert error.retry_after is not None
    assert 500 < error.retry_after <= 600


def test_who_leaves_does_not_wait_and_the_program_is_ended_all_the_same(script: Script) -> None:
    script.hangs, script.grace = True, 0.1
    seen = list[int | None]()

    async def leave(provider: Agent) -> None:
        call = asyncio.create_task(provider.call(AskAnswer(QUESTION)))
        await script.started.wait()
        call.cancel()
        await asyncio.wait([call])
        assert call.cancelled()
        seen.append(script.programs[0].returncode)

    run(leave)
    assert seen == [None]
    assert script.programs[0].returncode is not None


def test_no_more_programs_run_at_once_than_allowed(script: Script) -> None:
    script.messages, script.grace = [result(result="x")], 0.05

    async def many(provider: Agent) -> None:
        await asyncio.gather(*(provider.call(AskAnswer(QUESTION)) for _ in range(6)))

    run(many)
    assert (len(script.programs), script.most) == (6, 4)


LOCAL = {"kind": "openai-compatible", "model": "m", "base_url": "http://127.0.0.1:9/v1", "price": {}}
GIVEN = {"local": LOCAL, "claude": {"kind": "claude-agent", "model": "claude-sonnet-5-5"}}


def test_without_the_extra_the_provider_is_unavailable_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(anthropic, "find_spec", {"claude_agent_sdk": None}.__getitem__)
    registry = build_registry(Spec.model_validate({"project": "p", "providers": GIVEN}), {})
    assert registry.unavailable == {"claude": MISSING}
    assert "pip install 'techsapo-ops[claude-agent]'" in MISSING


def test_with_the_extra_it_needs_neither_key_nor_price(script: Script) -> None:
    registry = build_registry(Spec.model_validate({"project": "p", "providers": GIVEN}), {})
    made = registry.usable[1]
    assert (made.name, made.kind, made.price) == ("claude", "claude-agent", SUBSCRIPTION)
    assert not script.asked


def test_an_sdk_that_cannot_be_imported_is_a_failure_and_not_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "claude_agent_sdk", None)
    error = failure()
    assert error.kind is FailureKind.UNAVAILABLE
    assert "can't be imported" in error.message
