"""What every provider looks like: what it is asked, one call, and its price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from operator import attrgetter
from typing import ClassVar, Protocol

from techsapo_ops.adapters.delimiting import size
from techsapo_ops.wallbounce.answers import Answer, Critique, Grades, Peer, Tokens
from techsapo_ops.wallbounce.context import AnalysisContext, Phase
from techsapo_ops.wallbounce.examination.prompts import Prompt
from techsapo_ops.wallbounce.question import Question


@dataclass(frozen=True, slots=True)
class _Asked:
    """What every ask has."""

    question: Question
    context: AnalysisContext = field(default=AnalysisContext(), kw_only=True)
    """The analysis that the call is part of."""
    limit: float = field(default=inf, kw_only=True)
    """Seconds that the analysis waits, beside the provider's own time-out."""


@dataclass(frozen=True, slots=True)
class AskAnswer(_Asked):
    """Answer the question, without a look at anybody else's answer. The reply is an Answer."""

    phase: ClassVar[Phase] = "answer"

    @property
    def shown(self) -> int:
        """Bytes that are sent beside the question."""
        return 0


@dataclass(frozen=True, slots=True)
class AskForm(AskAnswer):
    """Fill in the form of `prompt`, which another room composed; its user part is the question's text.

    The reply is an Answer whose text is what the model wrote: who asked reads it.
    """

    prompt: Prompt


@dataclass(frozen=True, slots=True)
class AskGrades(_Asked):
    """Grade the peers' answers, measured by the `own` answer where there is one. The reply is Grades.

    Peer text reaches the vendor as delimited data, never as an instruction.
    """

    peers: Sequence[Peer]
    own: Answer | None = None
    phase: ClassVar[Phase] = "grade"

    @property
    def shown(self) -> int:
        """Bytes that are sent beside the question."""
        peers = sum(size(p.text, p.root_cause, *p.claims, *p.commands) for p in self.peers)
        return peers + (answer_size(self.own) if self.own is not None else 0)


@dataclass(frozen=True, slots=True)
class AskRevision(_Asked):
    """Answer once more, knowing what peers hold against the `own` answer. The reply is an Answer."""

    own: Answer
    critiques: Sequence[Critique]
    phase: ClassVar[Phase] = "revise"

    @property
    def shown(self) -> int:
        """Bytes that are sent beside the question."""
        return sum(size(c.claim, c.objection) for c in self.critiques) + answer_size(self.own)


Ask = AskAnswer | AskGrades | AskRevision
Reply = Answer | Grades


def answer_size(answer: Answer) -> int:
    """Bytes of `answer` where it is shown to others."""
    return size(answer.text, answer.root_cause, *answer.claims, *answer.commands)


SIMULATED = "simulated"
"""The kind of a provider behind which there is no vendor."""


@dataclass(frozen=True, slots=True)
class Rates:
    """USD per million tokens of a call whose input has more than `above` tokens.

    What the vendor has in its cache costs `cached`, what it puts there `cache_write`; None: as `input`.
    """

    input: float
    output: float
    cached: float | None = None
    cache_write: float | None = None
    above: int = 0

    def usd(self, tokens: Tokens) -> float:
        """USD for `tokens` at these rates."""
        cached = min(tokens.cached, tokens.input)
        cache_written = min(tokens.cache_written, tokens.input - cached)
        read = (
            (tokens.input - cached - cache_written) * self.input
            + cached * (self.input if self.cached is None else self.cached)
            + cache_written * (self.input if self.cache_write is None else self.cache_write)
        )
        return (read + tokens.output * self.output) / 1_000_000

    def dearest(self, read: int, written: int) -> float:
        """The same for tokens of which all that were read may be put into the vendor's cache, or none."""
        each = max(self.input, self.cached or 0.0, self.cache_write or 0.0)
        return (read * each + written * self.output) / 1_000_000


@dataclass(frozen=True, slots=True)
class Price(Rates):
    """What tokens cost, and `dearer` rates for longer input, which hold for the whole of such a call.

    `known` is False where a worst case stands in for the real price. `source` says where it comes from:
    "spec", "worst case", or a package with its version.
    """

    known: bool = True
    source: str = "spec"
    dearer: tuple[Rates, ...] = ()

    def cost(self, tokens: Tokens) -> float:
        """USD for `tokens`."""
        return max(self._reached(tokens.input), key=attrgetter("above")).usd(tokens)

    def most(self, read: int, written: int) -> float:
        """Most USD that a call can cost which sends at most `read` tokens and gets at most `written`."""
        return max([rates.dearest(read, written) for rates in self._reached(read)])

    def _reached(self, read: int) -> tuple[Rates, ...]:
        return (self, *(rates for rates in self.dearer if read > rates.above)) if self.dearer else (self,)


WORST_CASE = Price(input=30.0, output=180.0, known=False, source="worst case")
"""Reserved for a model without a known price: above the usual list prices of text models."""


class Provider(Protocol):
    """Answers, grades and revises. One provider is one model at one endpoint."""

    name: str
    """Its name in the spec."""
    kind: str
    """Its kind in the spec."""
    model: str
    """The vendor's name of the model."""
    timeout: float
    """Longest time for one call, in seconds."""
    price: Price
    """What tokens cost here."""
    max_output_tokens: int
    """Most tokens that one answer can have."""
    attempts: int
    """Calls for one answer: the first, and those made again after a failure that may pass."""

    async def call(self, ask: Ask) -> Reply:
        """What it replies: an Answer, or Grades where grades are asked for.

        Raises ProviderError, also where nothing of a reply can be read as what was asked for. Cancelling it
        ends the call to the vendor.
        """
        ...

    async def warm(self) -> None:
        """Import what the first call needs, without holding up the event loop for long."""
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...
