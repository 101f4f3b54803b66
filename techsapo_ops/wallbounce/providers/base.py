"""What providers over language models have in common: prompts out, answers and grades in, costs counted."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from techsapo_ops.adapters.jsons import dump
from techsapo_ops.adapters.model_reply import readable, well_formed
from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.catalogue.vendors import CHAT_ANSWER
from techsapo_ops.masking import MASK
from techsapo_ops.masking.search import KnownSecrets
from techsapo_ops.messages import msg
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.spec.models.providers import KeyedProvider, ModelProvider
from techsapo_ops.wallbounce.answers import Answer, Grades, Peer, Tokens
from techsapo_ops.wallbounce.examination.prompts import Prompt, answer_prompt, grade_prompt, revise_prompt
from techsapo_ops.wallbounce.providers.failures import Cause, FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.parsing import parse_answer, parse_grades
from techsapo_ops.wallbounce.providers.prices import list_price
from techsapo_ops.wallbounce.providers.provider import (
    WORST_CASE,
    Ask,
    AskAnswer,
    AskForm,
    AskGrades,
    AskRevision,
    Price,
    Reply,
)
from techsapo_ops.wallbounce.question import Question

CUT_OFF = msg("the answer was cut off; raise max_output_tokens")
_LONGEST_MESSAGE = 200
_LONGEST_VERSION = 128
_MOST_TOKENS = 2**31 - 1
_SHORTEST_SECRET = 6
"""Shorter values are no secrets, such as the `x` that a local server takes for a key, and masking them would
garble what is said."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What came back of one call. `complete` is False where the vendor says that it is not whole; `why` says
    why, where tokens are not what it lacked.

    `tokens` is None where the vendor counted none.
    """

    text: str
    tokens: Tokens | None
    complete: bool = True
    why: str = ""


@dataclass(slots=True)
class Tally:
    """What the vendor has counted of one call so far: it bills that, whatever becomes of the answer.

    `billed_usd` is what it says that it charges for the call, None where it says nothing. `version` is its
    name for the model that answers, "" where it says none.
    """

    tokens: Tokens | None = None
    billed_usd: float | None = None
    version: str = ""

    @property
    def counted(self) -> Tokens:
        """The tokens, none where nothing was counted."""
        return self.tokens or Tokens()


class LanguageModel(ABC):
    """A provider that is a language model at a vendor; a vendor's class knows how to make one call."""

    kind: str = ""
    """Its kind in the spec."""

    def __init__(self, name: str, spec: ModelProvider, price: Price) -> None:
        self.name = name
        self.model = spec.model
        self.timeout = seconds(spec.timeout)
        self.attempts = spec.attempts
        self.price = price
        self.max_output_tokens = spec.max_output_tokens or CHAT_ANSWER
        self._secrets = KnownSecrets(_revealed(spec), _SHORTEST_SECRET)

    @classmethod
    def lacks(cls, _name: str, _spec: Any, /) -> str | None:
        """Why a call can't be made at all; None where it can."""
        return None

    @classmethod
    def usual_price(cls, spec: Any, /) -> Price | None:
        """The vendor's list price: it does not hold for another address's own models, but none is better.

        None where no vendor is known, or no price of it.
        """
        return list_price(spec.vendor, spec.model) if spec.vendor is not None else None

    @abstractmethod
    async def complete(self, prompt: Prompt, question: Question, tally: Tally) -> Completion:
        """Make one call, whole or as a stream; tokens go to `tally` as soon as they are counted.

        Raises ProviderError; cancelling it closes the connection.
        """

    @abstractmethod
    async def warm(self) -> None:
        """Import what the first call needs, without holding up the event loop for long."""

    @abstractmethod
    async def close(self) -> None:
        """Give connections back."""

    async def call(self, ask: Ask) -> Reply:
        """One call to the model, read as what was asked for. Raises ProviderError with what it costs."""
        match ask:
            case AskForm(prompt=prompt):
                return await self._filled(prompt, ask)
            case AskAnswer(question=question):
                return await self._answer(answer_prompt(question), ask)
            case AskRevision(question=question, own=own, critiques=critiques):
                return await self._answer(revise_prompt(question, own, critiques), ask)
            case AskGrades(question=question, peers=peers, own=own_one):
                return await self._grades(grade_prompt(question, peers, own_one), ask, peers)

    async def _grades(self, prompt: Prompt, ask: Ask, peers: Sequence[Peer]) -> Grades:
        reply, tally, taken, cost = await self._ask(prompt, ask)
        grades = parse_grades(reply.text, peers)
        if peers and not grades:
            unread = ProviderError(FailureKind.BAD_ANSWER, msg("the grades can't be read"), cost_usd=cost)
            unread.tokens = tally.counted
            raise unread
        return Grades(self.name, self.model, grades, tally.counted, taken, cost, tally.version)

    async def _answer(self, prompt: Prompt, ask: Ask) -> Answer:
        reply, tally, taken, cost = await self._ask(prompt, ask)
        fields = parse_answer(reply.text)
        if not reply.complete and not (
            fields.structured or (fields.whole and reply.text.lstrip()[:1] == "{")
        ):
            raise _short(reply, tally.counted, cost)
        return Answer(
            provider=self.name,
            model=self.model,
            text=fields.text,
            tokens=tally.counted,
            seconds=taken,
            cost_usd=cost,
            self_confidence=fields.self_confidence,
            claims=fields.claims,
            root_cause=fields.root_cause,
            commands=fields.commands,
            risk=fields.risk,
            structured=fields.structured,
            version=tally.version,
        )

    async def _filled(self, prompt: Prompt, ask: Ask) -> Answer:
        reply, tally, taken, cost = await self._ask(prompt, ask)
        if not reply.complete and not readable(reply.text):
            raise _short(reply, tally.counted, cost)
        return Answer(self.name, self.model, reply.text, tally.counted, taken, cost, version=tally.version)

    async def _ask(self, prompt: Prompt, ask: Ask) -> tuple[Completion, Tally, float, float]:
        """What came back, what the vendor says of it, the seconds that it took and what it costs."""
        started = time.perf_counter()
        user = well_formed(prompt.user)
        sent = prompt if user is prompt.user else replace(prompt, user=user)
        tally, size = Tally(), _size(sent)
        try:
            reply = await self.complete(sent, ask.question, tally)
        except ProviderError as error:
            error.message = self._clean(error.message)
            error.tokens = tally.tokens or error.tokens
            error.cost_usd = self._billed(size, tally, began=error.began)
            raise
        # A vendor that counts nothing: a token per byte, which is more than any tokenizer makes.
        tally.tokens = reply.tokens or Tokens(size, len(well_formed(reply.text).encode()))
        tally.version = harmless(self._clean(tally.version))[:_LONGEST_VERSION]
        cost = self._billed(size, tally, began=True)
        return reply, tally, time.perf_counter() - started, cost

    def _billed(self, size: int, tally: Tally, *, began: bool) -> float:
        """USD of a call that sent `size` bytes: as the vendor says, else as counted, else the most it can be
        where it had begun.
        """
        most = self.price.most(size, self.max_output_tokens)
        counted = most if began else 0.0
        if tally.tokens is not None:
            counted = self.price.cost(tally.tokens)
        return booked(tally.billed_usd, counted, max(most, WORST_CASE.most(size, self.max_output_tokens)))

    def _clean(self, message: str) -> str:
        """`message` on one short line and without the key, which some servers echo."""
        message, _ = self._secrets.masked(message, MASK)
        return " ".join(message.split())[:_LONGEST_MESSAGE]


def _short(reply: Completion, tokens: Tokens, cost: float) -> ProviderError:
    """That a reply is not whole, and nothing of it can be used."""
    cause = Cause.UNREADABLE if reply.why else Cause.CUT_OFF
    short = ProviderError(FailureKind.BAD_ANSWER, reply.why or CUT_OFF, cause=cause, cost_usd=cost)
    short.tokens = tokens
    return short


def booked(billed: float | None, counted: float, most: float) -> float:
    """USD at which a call is booked: what the vendor says that it charges, where that can be.

    It is somebody else's word: what is below 0 or no number does not count, nor what is beyond `most`, more
    than a call of this size can cost. `counted` is our own sum by price and the vendor's count of tokens.
    """
    if billed is not None and 0 <= billed < inf:
        return min(billed, most)
    return min(counted, most)


def _revealed(spec: ModelProvider) -> Iterator[str]:
    """What no message may hold: the key, and headers' values, whole and after a word such as Bearer."""
    if not isinstance(spec, KeyedProvider):
        return
    if spec.api_key is not None:
        yield spec.api_key.reveal().strip()
    for value in (spec.headers or {}).values():
        yield value.reveal()
        yield value.reveal().rpartition(" ")[2]


def tokens_of(
    read: Any, written: Any, cached: Any, *, cache_written: Any = 0, thinking: Any = 0
) -> Tokens | None:
    """What a vendor says that it counted; None where these are no counts.

    A part that is larger than its whole counts as all of it: `cached` and `cache_written` of what was `read`,
    `thinking` of what was `written`. A count that no audit log can hold is none.
    """
    counts = (read, written, cached, cache_written, thinking)
    if not all(isinstance(count, int) and 0 <= count <= _MOST_TOKENS for count in counts):
        return None
    known = min(cached, read)
    return Tokens(read, written, known, min(cache_written, read - known), min(thinking, written))


def _size(prompt: Prompt) -> int:
    """Bytes of everything that is sent, the schema too."""
    return len(prompt.system.encode()) + len(prompt.user.encode()) + len(dump(prompt.schema))
