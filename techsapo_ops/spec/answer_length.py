"""How long an answer of a provider may be, thinking included, and who says so."""

from __future__ import annotations

from dataclasses import dataclass

from techsapo_ops.catalogue.models import CHAT_ANSWER, THINKING_ANSWER, ModelFacts, model_of
from techsapo_ops.spec.edition import FIRST, Edition
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


def answer_length(provider: ModelProvider, edition: Edition) -> AnswerLength:
    """What the spec says; where it says nothing, what `edition` has, for the model from the second one on."""
    if provider.max_output_tokens is not None:
        return AnswerLength(provider.max_output_tokens, SPEC)
    if edition == FIRST:
        return AnswerLength(CHAT_ANSWER, f"edition {FIRST} of the defaults")
    if provider.vendor is None:
        return AnswerLength(CHAT_ANSWER, "the default of its kind")
    facts = facts_of(provider)
    if facts is None:
        return AnswerLength(THINKING_ANSWER, "the default for a model that is not known")
    which = "a model that can think" if facts.thinks else "a model that does not think"
    return AnswerLength(facts.max_output_tokens, f"the default for {which}")
