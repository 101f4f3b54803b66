"""What every provider of answers looks like, and what its answers cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from techsapo_ops.wallbounce.model import Answer, Question, Tokens

MAX_ANSWER = 100_000
"""Longest answer in characters that is compared and passed on."""


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens. `known` is False where a worst case stands in for the real price."""

    input: float
    output: float
    known: bool = True

    def cost(self, tokens: Tokens) -> float:
        """USD for `tokens`."""
        return (tokens.input * self.input + tokens.output * self.output) / 1_000_000


WORST_CASE = Price(input=30.0, output=180.0, known=False)
"""Reserved for a model without a known price: above the usual list prices of text models."""


class Provider(Protocol):
    """Answers questions. One provider is one model at one endpoint."""

    @property
    def name(self) -> str:
        """Its name in the spec."""
        ...

    @property
    def kind(self) -> str:
        """Its kind in the spec."""
        ...

    @property
    def model(self) -> str:
        """The vendor's name of the model."""
        ...

    @property
    def timeout(self) -> float:
        """Longest time for one answer, in seconds."""
        ...

    @property
    def price(self) -> Price:
        """What tokens cost here."""
        ...

    @property
    def max_output_tokens(self) -> int:
        """Most tokens that one answer can have."""
        ...

    async def answer(self, question: Question) -> Answer:
        """Answer `question`; raises ProviderError. Cancelling it ends the call to the vendor."""
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...


def worst_cost(provider: Provider, question: Question) -> float:
    """Most USD that one answer to `question` can cost: a token per character, and the longest answer."""
    return provider.price.cost(Tokens(len(question.text) + 500, provider.max_output_tokens))
