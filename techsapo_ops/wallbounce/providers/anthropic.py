"""Claude: by Anthropic's Messages API, and on a subscription by the Claude Agent SDK.

Wire format: https://docs.anthropic.com/en/api/messages
The SDK's messages and options: https://docs.claude.com/en/api/agent-sdk/python
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from typing_extensions import override

from techsapo_ops.adapters.imports import first_use
from techsapo_ops.messages import msg
from techsapo_ops.spec.models.providers import ModelProvider
from techsapo_ops.wallbounce.examination.prompts import Prompt, with_schema
from techsapo_ops.wallbounce.providers.base import Completion, LanguageModel, Tally
from techsapo_ops.wallbounce.providers.failures import Cause, FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.provider import Price
from techsapo_ops.wallbounce.providers.reading import (
    LIMIT,
    MODEL,
    SCHEMA,
    SYSTEM,
    USER,
    Counts,
    Ending,
    refusal,
)
from techsapo_ops.wallbounce.providers.upstream import MAX_BODY
from techsapo_ops.wallbounce.providers.vendor_error import MAX_RETRY_AFTER, failure_in_200
from techsapo_ops.wallbounce.providers.wire import WiredModel
from techsapo_ops.wallbounce.question import Question


class Anthropic(WiredModel):
    """One Claude model."""

    kind = "anthropic"
    path = "/v1/messages"
    list_path = "/v1/models/{model}"
    end_at = "retires_at"
    login = ("x-api-key", "{key}")
    own_headers = {"anthropic-version": "2023-06-01"}
    body = {
        "model": MODEL,
        "max_tokens": LIMIT,
        "system": SYSTEM,
        "messages": [{"role": "user", "content": USER}],
    }
    schema = {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}
    effort_at = "output_config.effort"
    counts = Counts(
        read=("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"),
        written=("output_tokens",),
        cached="cache_read_input_tokens",
        cache_written="cache_creation_input_tokens",
        thinking="output_tokens_details.thinking_tokens",
    )
    counted_late = True
    finish_at = ("stop_reason",)
    detail_at = "stop_details.category"
    endings = {
        "refusal": Ending.REFUSED, "max_tokens": Ending.CUT_OFF, "pause_turn": Ending.EARLY,
        "tool_use": Ending.EARLY, "model_context_window_exceeded": Ending.EARLY,
    }  # fmt: skip
    reasons = {
        "cyber": msg("content about computer crime"),
        "bio": msg("content about biology"),
        "frontier_llm": msg("content about building AI models"),
        "reasoning_extraction": msg("an attempt to extract the model's reasoning"),
        "general_harms": msg("harmful content"),
        "model_context_window_exceeded": msg(
            "question and answer exceed the model's context; shorten the question"
        ),
    }

    @override
    def document(self, event: Any) -> Any:
        """Input is counted at the start of a message, output at its end."""
        match event["type"]:
            case "message_start":
                begun = event["message"]
                usage = {**begun["usage"], "output_tokens": 0}
                return {"content": [], "usage": usage, "model": begun.get("model")}
            case "content_block_delta" if event["delta"]["type"] == "text_delta":
                return {"content": [{"type": "text", "text": event["delta"]["text"]}]}
            case "message_delta":
                return {"content": [], "usage": event["usage"], **event["delta"]}
            case "error":
                return event
        return None

    @override
    def text(self, document: Any) -> str:
        return "".join(block["text"] for block in document["content"] if block["type"] == "text")


SUBSCRIPTION = Price(0.0, 0.0, source="subscription")
MISSING = msg("the Claude Agent SDK is not installed; pip install 'techsapo-ops[claude-agent]'")
_LOG_IN = msg("log in with `claude` as the user that runs the app")
_LAST_WORDS = 5
_PROCESSES = 4
"""Programs at once in one instance, each of about 200 MB; further questions wait."""


class Agent(LanguageModel):
    """One Claude model behind the program `claude`, which the SDK starts for each call.

    The program is an agent with tools, memory and settings. Here it has none of them: one turn, text to text.
    The schema is asked for in words: as an option it costs the program a turn more.
    """

    kind = "claude-agent"

    def __init__(self, name: str, spec: ModelProvider, price: Price) -> None:
        super().__init__(name, spec, price)
        self._free = asyncio.Semaphore(_PROCESSES)
        self._calls: set[asyncio.Task[Completion]] = set()

    @override
    @classmethod
    def lacks(cls, _name: str, _spec: Any) -> str | None:
        return MISSING if find_spec("claude_agent_sdk") is None else None

    @override
    @classmethod
    def usual_price(cls, _spec: Any) -> Price | None:
        return SUBSCRIPTION

    @override
    async def warm(self) -> None:
        await _load()

    @override
    async def close(self) -> None:
        """End the programs under way; returns once they are gone."""
        for call in self._calls:
            if not call.cancelling():
                call.cancel()
        if self._calls:
            await asyncio.wait(self._calls)

    @override
    async def complete(self, prompt: Prompt, question: Question, tally: Tally) -> Completion:
        """One turn.

        It runs in a task of its own: once cancelled, the SDK closes the program's input, terminates it 5 s
        later and kills it after 5 s more. Nobody should wait for that, and a second cancellation would keep
        the SDK from it.
        """
        call = asyncio.create_task(self._call(with_schema(prompt, question.language), prompt.user, tally))
        self._calls.add(call)
        call.add_done_callback(self._ended)
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            call.cancel()
            raise

    def _ended(self, call: asyncio.Task[Completion]) -> None:
        self._calls.discard(call)
        if not call.cancelled():
            call.exception()  # taken note of, as nobody may be left who waits for it

    async def _call(self, system: str, user: str, tally: Tally) -> Completion:
        sdk = await _load()
        stderr: deque[str] = deque(maxlen=_LAST_WORDS)
        result: Any = None
        said: Any = None
        resets: int | None = None
        async with self._free:
            try:
                async for message in sdk.query(
                    prompt=user, options=self._options(sdk, system, stderr.append)
                ):
                    if isinstance(message, sdk.ResultMessage):
                        result = message
                    elif isinstance(message, sdk.AssistantMessage):
                        said = message
                    elif isinstance(message, sdk.RateLimitEvent):
                        resets = message.rate_limit_info.resets_at
            except Exception as error:  # noqa: BLE001 - the SDK raises bare Exceptions beside its own
                if result is None:  # else it repeats as an exception what the result says
                    raise _failure(sdk, error, " ".join(stderr), began=said is not None) from None
        if result is None:
            raise ProviderError(
                FailureKind.BAD_ANSWER, msg("`claude` ended without a result"), began=said is not None
            )
        tally.tokens = Anthropic.counts.tokens(result.usage)
        tally.version = said.model if said is not None else ""
        if result.is_error:
            raise _result_error(result, said.error if said is not None else None, resets)
        if result.stop_reason == "refusal":
            raise refusal()
        return Completion(result.result or "", tally.tokens, result.stop_reason != "max_tokens")

    def _options(self, sdk: Any, system: str, stderr: Callable[[str], None]) -> Any:
        return sdk.ClaudeAgentOptions(
            model=self.model,
            system_prompt=system,
            max_turns=1,
            tools=[],
            strict_mcp_config=True,  # with `mcp_servers` left empty: none at all
            setting_sources=[],
            verbatim_prompts=True,  # else an @path in a question would be read and sent
            cwd=tempfile.gettempdir(),
            max_buffer_size=MAX_BODY,
            stderr=stderr,
            extra_args={"no-session-persistence": None},
            env={
                "ANTHROPIC_API_KEY": "",  # else the key would be billed in place of the subscription
                "ANTHROPIC_AUTH_TOKEN": "",
                "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(self.max_output_tokens),
                "CLAUDE_CODE_MAX_RETRIES": "0",  # Guarded makes failed calls again
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            },
        )


def _failure(sdk: Any, error: Exception, stderr: str, *, began: bool) -> ProviderError:
    """What an exception of the SDK means that came before any result."""
    if isinstance(error, sdk.CLINotFoundError):
        return ProviderError(
            FailureKind.UNAVAILABLE, msg("the program `claude` is missing; reinstall the SDK")
        )
    if isinstance(error, sdk.CLIJSONDecodeError):
        return ProviderError(
            FailureKind.BAD_ANSWER,
            msg("the output of `claude` can't be read: {error}", error=error),
            began=True,
        )
    reason = stderr or str(error) or type(error).__name__
    return ProviderError(
        FailureKind.UNAVAILABLE, msg("`claude` failed: {reason}", reason=reason), began=began
    )


def _result_error(result: Any, category: str | None, resets: int | None) -> ProviderError:
    """What a result with an error means. `category` is the last message's, `resets` a Unix time."""
    message = result.result or "; ".join(result.errors or ()) or result.subtype
    if result.subtype == "error_max_turns":
        return ProviderError(
            FailureKind.BAD_ANSWER, msg("no answer within the one turn that is allowed"), began=True
        )
    if category == "max_output_tokens":
        return ProviderError(FailureKind.BAD_ANSWER, message, cause=Cause.CUT_OFF, began=True)
    if category == "authentication_failed" or result.api_error_status == 401:
        return ProviderError(
            FailureKind.REFUSED, msg("{message}; {log_in}", message=message, log_in=_LOG_IN), cause=Cause.KEY
        )
    word = "" if category == "unknown" else category
    failure = failure_in_200({"code": result.api_error_status or word or None, "message": message})
    if failure.kind is FailureKind.RATE_LIMITED and resets is not None:
        failure.retry_after = min(max(resets - time.time(), 0.0), MAX_RETRY_AFTER)
    return failure


async def _load() -> Any:
    try:
        sdk = await asyncio.to_thread(first_use, partial(import_module, "claude_agent_sdk"))
    except ImportError as error:
        message = msg(
            "the Claude Agent SDK can't be imported ({error}); pip install 'techsapo-ops[claude-agent]'",
            error=error,
        )
        raise ProviderError(FailureKind.UNAVAILABLE, message) from None
    # At debug it would log whole requests, and no log may hold a question.
    logging.getLogger(sdk.__name__).setLevel(max(logging.getLogger().level, logging.WARNING))
    return sdk
