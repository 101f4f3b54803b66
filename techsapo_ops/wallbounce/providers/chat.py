"""Chat completions as they come: whole, or in chunks.

Wire format: https://platform.openai.com/docs/api-reference/chat and /chat-streaming
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from typing_extensions import override

from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.base import Completion, Tally, tokens_of
from techsapo_ops.wallbounce.providers.told import failure_in_200
from techsapo_ops.wallbounce.providers.upstream import broken_off
from techsapo_ops.wallbounce.providers.wire import Reading, refusal

Bill = Callable[[Any], float | None]
"""What the usage of a completion says that it costs, in USD; None where it says nothing."""

_THOUGHTS = re.compile(r"\s*<(think|thinking)>.*?(</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_LATE_END = re.compile(r"\A[^{].*</(?:think|thinking)>(?=\s*(?:\{|```))", re.DOTALL | re.IGNORECASE)
"""Thoughts whose opening tag stood in the model's template: they end before an answer in JSON."""


def read_completion(completion: Any, tally: Tally, bill: Bill) -> Completion:
    """The first choice of a chat completion. Raises ProviderError where it is an error or a refusal, and what
    reading JSON of another shape raises.

    OpenRouter, and proxies, tell some errors in a body with status 200. What the model thought stands in
    fields of its own (`reasoning`, `reasoning_content`, `reasoning_details`), which nobody reads, or in tags
    at the head of the content.
    """
    _look_at(completion, tally, bill)
    choice = completion["choices"][0]
    message = choice["message"]
    return _reply(_content(message), message.get("refusal"), choice, tally)


class Chunks(Reading):
    """The chunks of one streamed chat completion."""

    def __init__(self, bill: Bill) -> None:
        super().__init__()
        self._bill = bill
        self._text: list[str] = []
        self._refused = False
        self._last: Any = {}

    @override
    def add(self, event: Any, tally: Tally) -> None:
        _look_at(event, tally, self._bill)
        for choice in event.get("choices") or ():  # the chunk with the usage has none
            delta = choice.get("delta") or {}
            self._text.append(_content(delta))
            self._refused |= bool(delta.get("refusal"))
            if choice.get("finish_reason"):
                self._last = choice

    @override
    def reply(self, tally: Tally) -> Completion:
        if not self.done and not self._last:
            raise broken_off(self.begun)
        return _reply("".join(self._text), self._refused, self._last, tally)


def without_thoughts(text: str) -> str:
    """`text` without the thoughts at its head; nothing where it was cut off while thinking."""
    end = 0
    while found := _THOUGHTS.match(text, end):
        end = found.end()
    return _LATE_END.sub("", text[end:])


def _content(message: Any) -> str:
    """The text of a message or a delta; some servers send it in parts."""
    content = message.get("content") or ""
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part["type"] == "text")
    if not isinstance(content, str):
        raise TypeError("not text")
    return content


def _look_at(body: Any, tally: Tally, bill: Bill) -> None:
    """Count what a completion or chunk says that it took, and raise the error that it holds.

    The count comes first, since an error is billed too; a count that can't be read hides no error.
    """
    try:
        if usage := body.get("usage"):
            tally.tokens, tally.billed_usd = _counted(usage), bill(usage)
    finally:
        _raise_for_error(body)


def _raise_for_error(body: Any) -> None:
    """Raise the error that a completion or chunk holds, as a whole or in its first choice."""
    if not isinstance(body, dict):
        return
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    error = body.get("error") or (first.get("error") if isinstance(first, dict) else None)
    if error:
        raise failure_in_200({"error": error})


def _reply(content: str, refused: Any, choice: Any, tally: Tally) -> Completion:
    """What the content comes to. A reason to end that nobody knows says nothing against it."""
    finish, native = choice.get("finish_reason"), choice.get("native_finish_reason")
    text = without_thoughts(content)
    if finish == "content_filter" or (refused and not text):
        raise refusal()
    if finish == "error":
        told = msg("the answer broke off in the middle ({native})", native=native or finish)
        raise ProviderError(FailureKind.UNAVAILABLE, told, began=True)
    if not content.strip() or text.strip():
        return Completion(text, tally.tokens, finish != "length")
    closed = content.rstrip().endswith(">") and finish != "length"
    return Completion(
        "", tally.tokens, False, msg("the reply holds thoughts and no answer") if closed else ""
    )


def _counted(usage: Any) -> Tokens | None:
    read, written = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
    return tokens_of(
        usage.get("prompt_tokens"),
        usage.get("completion_tokens"),
        read.get("cached_tokens") or 0,
        cache_written=read.get("cache_write_tokens") or 0,
        thinking=written.get("reasoning_tokens") or 0,
    )
