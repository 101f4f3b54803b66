"""Answers in OpenAI's shape."""

from __future__ import annotations

from typing import Literal

from techsapo_ops.serve.bodies.base import Body


class ModelBody(Body):
    """A tier, as a model."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelsBody(Body):
    object: Literal["list"]
    data: list[ModelBody]


class AssistantMessage(Body):
    role: Literal["assistant"]
    content: str
    refusal: str | None


class ChoiceBody(Body):
    index: int
    message: AssistantMessage
    logprobs: None
    finish_reason: Literal["stop"]


class PromptDetailsBody(Body):
    cached_tokens: int
    cache_write_tokens: int


class CompletionDetailsBody(Body):
    reasoning_tokens: int


class UsageBody(Body):
    """All that the vendors billed for the answer: every provider's calls, gradings included."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetailsBody
    completion_tokens_details: CompletionDetailsBody


class VerdictBody(Body):
    """What OpenAI's shape has no place for."""

    confidence: float
    consensus: float | None
    accepted: bool
    outcome: Literal["accepted", "unsettled", "refused"]
    tier: Literal["basic", "premium", "critical"]
    simulated: bool
    cost_usd: float
    cache: Literal["hit", "miss"]
    notes: list[str]
    masked: dict[str, int]


class CompletionBody(Body):
    """A chat completion, with the verdict beside it."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChoiceBody]
    usage: UsageBody
    techsapo: VerdictBody
