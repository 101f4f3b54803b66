"""What every provider of answers looks like, and what its answers cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from techsapo_ops.wallbounce.answers import Answer, Tokens
from techsapo_ops.wallbounce.grades import Critique, Grades, Peer
from techsapo_ops.wallbounce.question import Question

MAX_ANSWER = 100_000
"""Longest answer in characters that is compared and passed on."""


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens. `known` is False where a worst case stands in for the real price.

    `source` says where it comes from: "spec", "worst case", or a package with its version.
    """

    input: float
    output: float
    known: bool = True
    source: str = "spec"

    def cost(self, tokens: Tokens) -> float:
        """USD for `tokens`."""
        return (tokens.input * self.input + tokens.output * self.output) / 1_000_000


WORST_CASE = Price(input=30.0, output=180.0, known=False, source="worst case")
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

    async def grade(self, question: Question, peers: Sequence[Peer], own: Answer | None = None) -> Grades:
        """Grade the `peers`' answers to `question`, measured by its `own` answer where it gave one.

        Peer text reaches the vendor as delimited data, never as an instruction. Raises ProviderError, also
        where nothing of the reply can be read as a grade. Cancelling it ends the call to the vendor.
        """
        ...

    async def revise(self, question: Question, own: Answer, critiques: Sequence[Critique]) -> Answer:
        """Answer `question` once more, knowing what peers hold against its `own` answer. As `answer`."""
        ...

    async def warm(self) -> None:
        """Import what the first call needs, without holding up the event loop for long."""
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...


PROMPT_OVERHEAD = 6_000
"""Bytes that instructions and schema add to a prompt, generously."""


def worst_cost(provider: Provider, question: Question, shown: int = 0) -> float:
    """Most USD that one call about `question` can cost.

    A token per UTF-8 byte, which no tokenizer exceeds, and the longest answer. `shown` is the number of bytes
    that are sent beside the question: the peers' answers in grading, the critiques in a revision.
    """
    sent = size(question.text) + shown + PROMPT_OVERHEAD
    return provider.price.cost(Tokens(sent, provider.max_output_tokens))


def worst_grading(provider: Provider, question: Question, peers: Sequence[Peer], own: Answer | None) -> float:
    """Most USD that grading `peers` can cost; see `worst_cost`."""
    shown = sum(size(p.text, p.root_cause, *p.claims, *p.commands) for p in peers)
    return worst_cost(provider, question, shown + (answer_size(own) if own is not None else 0))


def worst_revision(
    provider: Provider, question: Question, own: Answer, critiques: Sequence[Critique]
) -> float:
    """Most USD that a revision can cost; see `worst_cost`."""
    shown = sum(size(c.claim, c.objection) for c in critiques)
    return worst_cost(provider, question, shown + answer_size(own))


def answer_size(answer: Answer) -> int:
    """Bytes of `answer` where it is shown to others."""
    return size(answer.text, answer.root_cause, *answer.claims, *answer.commands)


def size(*texts: str) -> int:
    """Bytes of `texts` in UTF-8."""
    return len("".join(texts).encode(errors="surrogatepass"))
