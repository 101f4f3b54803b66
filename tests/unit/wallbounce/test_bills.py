"""What is booked for a call, and what a vendor's own word on it is worth."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rows import each_row
from scripted import Purse

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.spec.models.providers import ModelProvider
from techsapo_ops.wallbounce.answers import Peer, Tokens
from techsapo_ops.wallbounce.context import AnalysisContext
from techsapo_ops.wallbounce.examination.prompts import Prompt
from techsapo_ops.wallbounce.providers.base import Completion, LanguageModel, Tally, booked, tokens_of
from techsapo_ops.wallbounce.providers.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.guarded import Guarded
from techsapo_ops.wallbounce.providers.provider import Ask, AskAnswer, AskGrades, Price
from techsapo_ops.wallbounce.question import Question

CASES = Path(__file__).parents[2] / "cases" / "bills.yaml"
QUESTION = Question("what does exit code 137 mean?", "en", "req-1")


@each_row("case", read_yaml(CASES.read_text()), ids=lambda case: str(case["told"])[:12])
def test_a_bill_is_booked_as_told_unless_it_cannot_be(case: dict[str, Any]) -> None:
    assert booked(case["told"], case["counted"], case["most"]) == case["booked"]


SPEC = ModelProvider(model="some/model", timeout="5s", max_output_tokens=1000, attempts=1)


class Billing(LanguageModel):
    """A model whose vendor counts `tokens` and says that it charges `usd`, and then fails with `error`."""

    def __init__(
        self, tokens: Tokens | None, usd: Any, price: Price, error: ProviderError | None = None,
        *, complete: bool = True,
    ) -> None:  # fmt: skip
        super().__init__("router", SPEC, price)
        self._counted, self._usd, self._error, self._complete = tokens, usd, error, complete

    async def complete(self, prompt: Prompt, question: Question, tally: Tally) -> Completion:
        tally.tokens, tally.billed_usd = self._counted, self._usd
        if self._error is not None:
            raise self._error
        return Completion("the process was killed", self._counted, complete=self._complete)

    async def warm(self) -> None: ...

    async def close(self) -> None: ...


def cost_of(model: Billing) -> float:
    try:
        return asyncio.run(model.call(AskAnswer(QUESTION))).cost_usd
    except ProviderError as error:
        return error.cost_usd


def test_a_part_larger_than_its_whole_counts_as_all_of_it() -> None:
    assert tokens_of(1000, 300, 200, cache_written=100, thinking=250) == Tokens(1000, 300, 200, 100, 250)
    assert tokens_of(10, 5, 99, cache_written=99, thinking=99) == Tokens(10, 5, 10, 0, 5)
    assert tokens_of(10, 5, 4, cache_written=99) == Tokens(10, 5, 4, 6)


@each_row("odd", [-1, 2**31, 1.5, "7", None])
def test_what_is_no_count_makes_the_whole_count_unknown(odd: object) -> None:
    assert tokens_of(10, 5, 0, cache_written=odd) is None
    assert tokens_of(10, 5, 0, thinking=odd) is None


@each_row(
    "error, complete, ask",
    [
        (ProviderError(FailureKind.UNAVAILABLE, "broke off", began=True), True, AskAnswer(QUESTION)),
        (None, False, AskAnswer(QUESTION)),
        (None, True, AskGrades(QUESTION, (Peer("A", "x", "cause", ("claim",), ()),))),
    ],
    ids=["breaks off", "cut off", "unreadable"],
)
def test_what_a_failed_call_took_is_counted_as_it_is_billed(
    error: ProviderError | None, complete: bool, ask: Ask
) -> None:
    purse, counted, price = Purse(), Tokens(70, 30, thinking=20), Price(1.0, 2.0)
    model = Billing(counted, None, price, error, complete=complete)
    with pytest.raises(ProviderError):
        asyncio.run(Guarded(model).call(replace(ask, context=AnalysisContext(payer=purse))))
    (charge,) = purse.booked
    assert (charge.tokens, charge.cost_usd) == (counted, pytest.approx(price.cost(counted)))


def test_what_the_vendor_says_that_it_charges_counts_before_our_own_sum() -> None:
    assert cost_of(Billing(Tokens(1000, 1000), 0.0123, Price(1.0, 10.0))) == 0.0123


def test_thinking_that_brought_no_text_is_booked_as_billed() -> None:
    cut = ProviderError(FailureKind.BAD_ANSWER, "cut off", began=True)
    assert cost_of(Billing(Tokens(100, 1000, thinking=1000), 0.011, Price(1.0, 10.0), cut)) == 0.011
    cost = cost_of(Billing(Tokens(100, 1000, thinking=1000), None, Price(1.0, 10.0), cut))
    assert cost == pytest.approx(100e-6 + 1000 * 10e-6)


@each_row(
    "counted, usd",
    [(Tokens(100, 100), 1e9), (Tokens(2_000_000_000, 2_000_000_000), None)],
    ids=["usd", "tokens"],
)
def test_what_no_call_can_cost_is_bounded(counted: Tokens, usd: float | None) -> None:
    cost = cost_of(Billing(counted, usd, Price(1.0, 10.0)))
    assert 0.18 < cost < 0.4, "at most what the dearest price makes of this prompt and the longest answer"


@each_row("counted", [Tokens(1000, 0), None])
def test_a_failure_costs_what_the_vendor_charges_for_it(counted: Tokens | None) -> None:
    failed = ProviderError(FailureKind.UNAVAILABLE, "disconnected", began=True)
    assert cost_of(Billing(counted, 0.0, Price(10.0, 10.0), failed)) == 0.0


def test_an_uncounted_call_that_began_costs_everything_that_was_sent_and_the_longest_answer() -> None:
    broken = ProviderError(FailureKind.UNAVAILABLE, "broke off", began=True)
    cost = cost_of(Billing(None, None, Price(1.0, 10.0, cache_write=1.25), broken))
    assert 1000 * 10e-6 + 1000 * 1.25e-6 < cost < 1000 * 10e-6 + 6000 * 1.25e-6
