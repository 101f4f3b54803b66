"""Chat completions as they come: whole, or in chunks.

Wire format: https://platform.openai.com/docs/api-reference/chat and /chat-streaming
"""

from __future__ import annotations

from typing import Any

from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.failures import Cause, FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.base import Completion, Tally, tokens_of
from techsapo_ops.wallbounce.providers.told import failure_in_200
from techsapo_ops.wallbounce.providers.upstream import broken_off


def read_completion(completion: Any, tally: Tally) -> Completion:
    """The first choice of a chat completion. Raises ProviderError where it is none, an error, or a refusal.

    OpenRouter, and proxies, tell some errors in a body with status 200.
    """
    _raise_for_error(completion)
    try:
        choice = completion["choices"][0]
        message, finish = choice["message"], choice.get("finish_reason")
        text, refusal = message.get("content") or "", message.get("refusal")
        tally.tokens = _usage(completion.get("usage"))
    except (KeyError, IndexError, TypeError, AttributeError):
        raise _unreadable("the reply is not a chat completion") from None
    return _reply(text, refusal, finish, tally)


class Chunks:
    """The chunks of one streamed chat completion; `done` once its end was told."""

    def __init__(self) -> None:
        self.done = False
        self._any = False
        self._text: list[str] = []
        self._refused = False
        self._finish: Any = None

    def add(self, chunk: Any, tally: Tally) -> None:
        """Take in one more chunk. Raises ProviderError where it is none, or tells an error."""
        _raise_for_error(chunk)
        self._any = True
        try:
            tally.tokens = _usage(chunk.get("usage")) or tally.tokens
            for choice in chunk.get("choices") or ():  # the chunk with the usage has none
                delta = choice.get("delta") or {}
                self._text.append(delta.get("content") or "")
                self._refused |= bool(delta.get("refusal"))
                self._finish = choice.get("finish_reason") or self._finish
        except (KeyError, TypeError, AttributeError):
            raise _unreadable("the stream holds what is no chunk of a chat completion") from None

    def reply(self, tally: Tally) -> Completion:
        """What the chunks add up to. Raises ProviderError where the last one never came, or for a refusal."""
        if not self.done and self._finish is None:
            raise broken_off(self._any)
        try:
            text = "".join(self._text)
        except TypeError:
            raise _unreadable("the reply is not text") from None
        return _reply(text, self._refused, self._finish, tally)


def _raise_for_error(body: Any) -> None:
    """Raise the error that a completion or chunk holds, as a whole or in its first choice."""
    if not isinstance(body, dict):
        return
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    error = body.get("error") or (first.get("error") if isinstance(first, dict) else None)
    if error:
        raise failure_in_200({"error": error})


def _reply(text: Any, refusal: Any, finish: Any, tally: Tally) -> Completion:
    if finish == "content_filter" or (refusal and not text):
        raise ProviderError(
            FailureKind.REFUSED,
            "the provider refused the question's content",
            cause=Cause.CONTENT,
            began=True,
        )
    if not isinstance(text, str):
        raise _unreadable("the reply is not text")
    return Completion(text, tally.tokens, finish != "length")


def _unreadable(message: str) -> ProviderError:
    return ProviderError(FailureKind.BAD_ANSWER, message, began=True)


def _usage(usage: Any) -> Tokens | None:
    if not usage:
        return None
    details = usage.get("prompt_tokens_details") or {}
    return tokens_of(usage["prompt_tokens"], usage["completion_tokens"], details.get("cached_tokens") or 0)
