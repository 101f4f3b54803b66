"""Gemini by Google's Generative Language API.

Wire format: https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from typing_extensions import override

from techsapo_ops.messages import msg
from techsapo_ops.spec.models.providers import GoogleProvider
from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.prompts import Prompt
from techsapo_ops.wallbounce.provider import Price
from techsapo_ops.wallbounce.providers.base import Completion, Tally, tokens_of
from techsapo_ops.wallbounce.providers.kinds import ProviderKind
from techsapo_ops.wallbounce.providers.listed import Listed, gemini_model
from techsapo_ops.wallbounce.providers.told import failure_in_200
from techsapo_ops.wallbounce.providers.upstream import broken_off
from techsapo_ops.wallbounce.providers.wire import VERTEX, Form, Reading, WiredModel, refusal

_API_VERSION = "v1beta"
"""In v1, generateContent knows neither systemInstruction nor responseMimeType nor thinkingConfig: 400
(googleapis/googleapis, google/ai/generativelanguage/v1/generative_service.proto, 2026-08-22).
"""
_REFUSALS = {
    "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "MODEL_ARMOR",
    "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION",
}  # fmt: skip
_CUT_OFF = {"MAX_TOKENS", "CONTINUATION"}
_NOT_WHOLE = {
    "OTHER", "MALFORMED_RESPONSE", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS",
    "MISSING_THOUGHT_SIGNATURE", "NO_IMAGE", "IMAGE_OTHER", "ESCALATION", "PUP_LIMITED_DISABLED",
}  # fmt: skip
"""Reasons that say neither that it is whole nor that tokens ran out: an answer that is whole counts."""


class Google(WiredModel):
    """One Gemini model."""

    default_url = GoogleProvider.address
    promised = msg("a generation")
    told_alone = True

    def __init__(self, name: str, spec: GoogleProvider, price: Price) -> None:
        super().__init__(name, spec, price)
        self._effort = spec.effort

    @override
    def login(self, key: str) -> dict[str, str]:
        return {"x-goog-api-key": key}

    @override
    def url(self) -> str:
        model = self.model if "/" in self.model else f"models/{self.model}"
        method = "streamGenerateContent?alt=sse" if self.stream else "generateContent"
        version = "" if VERTEX.search(self._base_url) else f"/{_API_VERSION}"
        return f"{self._base_url}{version}/{model}:{method}"

    @override
    def list_url(self) -> str:
        model = self.model if "/" in self.model else f"models/{self.model}"
        return f"{self._base_url}/{_API_VERSION}/{model}"

    @override
    def read_list(self, answer: Any) -> Listed:
        return gemini_model(answer)

    @override
    def request(self, prompt: Prompt, system: str, form: Form) -> dict[str, Any]:
        config: dict[str, Any] = {"maxOutputTokens": self.max_output_tokens}
        if form.structured:
            config |= {"responseMimeType": "application/json", "responseJsonSchema": prompt.schema}
        if self._effort is not None:
            config["thinkingConfig"] = {"thinkingLevel": self._effort.upper()}
        return {
            "systemInstruction": {"parts": [{"text": system}]},
            "contents": [{"role": "user", "parts": [{"text": prompt.user}]}],
            "generationConfig": config,
        }

    @override
    def read(self, reply: Any, tally: Tally) -> Completion:
        return read_generation(reply, tally)

    @override
    def reading(self) -> Reading:
        return _Events(self.max_output_tokens)


KIND = ProviderKind(Google)


class _Events(Reading):
    """The pieces of a streamed generation: each counts all tokens so far, the last one says why it ends.

    A stream that breaks off is charged as counted so far, and with the `longest` answer where no output was
    counted yet: thinking is billed before a word of it is sent.
    """

    def __init__(self, longest: int) -> None:
        super().__init__()
        self._longest = longest
        self._so_far: Tokens | None = None
        self._text: list[str] = []
        self._finish: str | None = None

    @override
    def add(self, event: Any, tally: Tally) -> None:
        self._finish = _look_at(event, tally) or self._finish
        if event.get("usageMetadata"):
            self._so_far = tally.tokens
        tally.tokens = self._so_far
        if self._finish is None and self._so_far is not None and self._so_far.output == 0:
            tally.tokens = replace(self._so_far, output=self._longest)
        self._text.append(_text_of(event))

    @override
    def reply(self, tally: Tally) -> Completion:
        if self._finish is None:
            raise broken_off(self.begun)
        return _reply("".join(self._text), self._finish, tally)


def read_generation(generation: Any, tally: Tally) -> Completion:
    """Text and tokens of the first candidate. Raises ProviderError where prompt or answer was blocked,
    and what reading JSON of another shape raises.
    """
    finish = _look_at(generation, tally)
    if not generation.get("candidates"):
        raise ProviderError(FailureKind.BAD_ANSWER, msg("the reply holds no candidate"), began=True)
    return _reply(_text_of(generation), finish, tally)


def _reply(text: str, finish: str | None, tally: Tally) -> Completion:
    why = msg("the vendor ended the answer early ({finish})", finish=finish) if finish in _NOT_WHOLE else ""
    return Completion(text, tally.tokens, finish not in _CUT_OFF | _NOT_WHOLE, why)


def _look_at(generation: Any, tally: Tally) -> str | None:
    """Count the tokens; why it ends, if it does.

    Raises ProviderError for an error, and where prompt or answer was blocked.
    """
    usage = generation.get("usageMetadata")
    if usage is not None and usage.get("promptTokenCount") is not None:
        tally.tokens = _tokens(usage)
    if generation.get("error"):
        raise failure_in_200(generation)
    blocked = (generation.get("promptFeedback") or {}).get("blockReason")
    if blocked is not None:
        raise refusal(
            msg("the provider refused the question's content ({blocked})", blocked=blocked), began=False
        )
    candidates = generation.get("candidates")
    if not candidates:
        return None
    finish: str | None = candidates[0].get("finishReason")
    if finish in _REFUSALS:
        raise refusal(msg("the provider withheld its answer ({finish})", finish=finish))
    return finish


def _tokens(usage: Any) -> Tokens | None:
    """What was counted, thinking as output, as it is billed."""
    thought = usage.get("thoughtsTokenCount") or 0
    written = (usage.get("candidatesTokenCount") or 0) + thought
    cached = usage.get("cachedContentTokenCount") or 0
    return tokens_of(usage["promptTokenCount"], written, cached, thinking=thought)


def _text_of(generation: Any) -> str:
    """The first candidate's text without its thoughts."""
    candidates = generation.get("candidates")
    content = candidates[0].get("content") if candidates else None
    parts = (content or {}).get("parts") or []
    return "".join(part["text"] for part in parts if part.get("text") and not part.get("thought"))
