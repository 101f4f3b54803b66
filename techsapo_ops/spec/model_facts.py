"""What is known of the model that a provider names: its end, and how long its answers may be."""

from __future__ import annotations

from dataclasses import dataclass

from techsapo_ops.catalogue.models import CHAT_ANSWER, THINKING_ANSWER, End, ModelFacts, model_of
from techsapo_ops.messages import msg
from techsapo_ops.spec.models.providers import ModelProvider

SPEC = "spec"


@dataclass(frozen=True, slots=True)
class AnswerLength:
    """Tokens of the longest answer, and in a few words where the number comes from."""

    tokens: int
    source: str


def facts_of(provider: ModelProvider) -> ModelFacts | None:
    """What the catalogue knows of the model that `provider` names."""
    return model_of(provider.vendor, provider.model) if provider.vendor is not None else None


def announced_end(provider: ModelProvider) -> End | None:
    """The end of its model; none is known where another than the vendor serves it: a proxy, another cloud."""
    if not provider.at_vendor:
        return None
    facts = facts_of(provider)
    return facts.end if facts is not None else None


def answer_length(provider: ModelProvider) -> AnswerLength:
    """What the spec says; where it says nothing, what suits the model."""
    if provider.max_output_tokens is not None:
        return AnswerLength(provider.max_output_tokens, SPEC)
    if provider.vendor is None:
        return AnswerLength(CHAT_ANSWER, msg("the default of its kind"))
    facts = facts_of(provider)
    if facts is None:
        return AnswerLength(THINKING_ANSWER, msg("the default for a model that is not known"))
    which = (
        msg("the default for a model that can think")
        if facts.thinks
        else msg("the default for a model that does not think")
    )
    return AnswerLength(facts.max_output_tokens, which)
