"""What is known of the model that a provider names: its end, and how long its answers may be."""

from __future__ import annotations

from techsapo_ops.catalogue.models import CHAT_ANSWER, THINKING_ANSWER, End, ModelFacts, model_of
from techsapo_ops.spec.models.providers import ModelProvider


def facts_of(provider: ModelProvider) -> ModelFacts | None:
    """What the catalogue knows of the model that `provider` names."""
    return model_of(provider.vendor, provider.model) if provider.vendor is not None else None


def announced_end(provider: ModelProvider) -> End | None:
    """The end of its model; none is known where another than the vendor serves it: a proxy, another cloud."""
    if not provider.at_vendor:
        return None
    facts = facts_of(provider)
    return facts.end if facts is not None else None


def answer_length(provider: ModelProvider) -> int:
    """Tokens of the longest answer: what the spec says; where it says nothing, what suits the model."""
    if provider.max_output_tokens is not None:
        return provider.max_output_tokens
    if provider.vendor is None:
        return CHAT_ANSWER
    facts = facts_of(provider)
    return THINKING_ANSWER if facts is None else facts.max_output_tokens
