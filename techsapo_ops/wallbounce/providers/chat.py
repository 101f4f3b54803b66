"""Chat completions as they come: whole, or in chunks.

Wire format: https://platform.openai.com/docs/api-reference/chat and /chat-streaming
"""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.providers.base import Completion, Tally, tokens_of
from techsapo_ops.wallbounce.providers.told import failure_in_200
from techsapo_ops.wallbounce.providers.upstream import broken_off
from techsapo_ops.wallbounce.providers.wire import Reading, refusal


def read_completion(completion: Any, tally: Tally) -> Completion:
    """The first choice of a chat completion. Raises ProviderError where it is an error or a refusal, and what
    reading JSON of another shape raises.

    OpenRouter, and proxies, tell some errors in a body with status 200.
    """
    _raise_for_error(completion)
    choice = completion["choices"][0]
    message, finish = choice["message"], choice.get("finish_reason")
    tally.tokens = _usage(completion.get("usage"))
    return _reply(message.get("content") or "", message.get("refusal"), finish, tally)


class Chunks(Reading):
    """The chunks of one streamed chat completion."""

    def __init__(self) -> None:
        super().__init__()
        self._text: list[str] = []
        self._refused = False
        self._finish: Any = None

    @override
    def add(self, event: Any, tally: Tally) -> None:
        _raise_for_error(event)
        tally.tokens = _usage(event.get("usage")) or tally.tokens
        for choice in event.get("choices") or ():  # the chunk with the usage has none
            delta = choice.get("delta") or {}
            self._text.append(delta.get("content") or "")
            self._refused |= bool(delta.get("refusal"))
            self._finish = choice.get("finish_reason") or self._finish

    @override
    def reply(self, tally: Tally) -> Completion:
        if not self.done and self._finish is None:
            raise broken_off(self.begun)
        return _reply("".join(self._text), self._refused, self._finish, tally)


def _raise_for_error(body: Any) -> None:
    """Raise the error that a completion or chunk holds, as a whole or in its first choice."""
    if not isinstance(body, dict):
        return
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    error = body.get("error") or (first.get("error") if isinstance(first, dict) else None)
    if error:
        raise failure_in_200({"error": error})


def _reply(text: Any, refused: Any, finish: Any, tally: Tally) -> Completion:
    if finish == "content_filter" or (refused and not text):
        raise refusal()
    if not isinstance(text, str):
        raise TypeError("not text")
    return Completion(text, tally.tokens, finish != "length")


def _usage(usage: Any) -> Tokens | None:
    if not usage:
        return None
    details = usage.get("prompt_tokens_details") or {}
    return tokens_of(usage["prompt_tokens"], usage["completion_tokens"], details.get("cached_tokens") or 0)
