"""What is made of the numbers that a vendor counts."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from rows import each_row
from scripted import Purse
from typing_extensions import override

from techsapo_ops.spec.models.providers import ModelProvider
from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.asks import Ask, AskAnswer, AskGrades
from techsapo_ops.wallbounce.context import AnalysisContext
from techsapo_ops.wallbounce.decorators.metered import Metered
from techsapo_ops.wallbounce.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.grades import Peer
from techsapo_ops.wallbounce.prompts import Prompt
from techsapo_ops.wallbounce.provider import Price
from techsapo_ops.wallbounce.providers.base import Completion, LanguageModel, Tally, tokens_of
from techsapo_ops.wallbounce.question import Question


def test_parts_of_the_input_and_the_thinking_within_the_output_are_kept_apart() -> None:
    found = tokens_of(1000, 300, 200, cache_written=100, thinking=250)
    assert found == Tokens(1000, 300, cached=200, cache_written=100, thinking=250)


def test_a_part_larger_than_its_whole_counts_as_all_of_it() -> None:
    assert tokens_of(10, 5, 99, cache_written=99, thinking=99) == Tokens(10, 5, 10, 0, 5)
    assert tokens_of(10, 5, 4, cache_written=99) == Tokens(10, 5, 4, 6)


@each_row("odd", [-1, 2**31, 1.5, "7", None])
def test_what_is_no_count_makes_the_whole_count_unknown(odd: object) -> None:
    assert tokens_of(10, 5, 0, cache_written=odd) is None
    assert tokens_of(10, 5, 0, thinking=odd) is None


COUNTED = Tokens(70, 30, thinking=20)
QUESTION = Question("q", "en")
PEERS = (Peer("A", "x", "cause", ("claim",), ()),)


SPEC = ModelProvider(model="m", timeout="5s", max_output_tokens=100)


class Unlucky(LanguageModel):
    """Counts, and then has nothing that can be used."""

    def __init__(self, ends: str) -> None:
        super().__init__("unlucky", SPEC, Price(1.0, 2.0))
        self._ends = ends

    @override
    async def complete(self, prompt: Prompt, question: Question, tally: Tally) -> Completion:
        tally.tokens = COUNTED
        if self._ends == "breaks off":
            raise ProviderError(FailureKind.UNAVAILABLE, "broke off", began=True)
        return Completion("The disk", COUNTED, complete=False)

    @override
    async def warm(self) -> None: ...

    @override
    async def close(self) -> None: ...


@each_row(
    "ends, ask",
    [
        ("breaks off", AskAnswer(QUESTION)),
        ("cut off", AskAnswer(QUESTION)),
        ("unreadable", AskGrades(QUESTION, PEERS)),
    ],
)
def test_what_a_failed_call_took_is_counted_as_it_is_billed(ends: str, ask: Ask) -> None:
    purse = Purse()
    paid = replace(ask, context=AnalysisContext(payer=purse))
    with pytest.raises(ProviderError):
        asyncio.run(Metered(Unlucky(ends)).call(paid))
    (charge,) = purse.booked
    assert charge.tokens == COUNTED
    assert charge.cost_usd == pytest.approx(Price(1.0, 2.0).cost(COUNTED))
