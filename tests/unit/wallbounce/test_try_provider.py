"""What trying a provider makes of what its model replies; the whole of it, with vendors, is a lab's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date
from typing import Any, cast

import pytest
from pydantic import TypeAdapter
from rows import each_row

from techsapo_ops.spec.models.providers import Provider as Section
from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.examination.prompts import Prompt
from techsapo_ops.wallbounce.providers import try_provider as trying
from techsapo_ops.wallbounce.providers.base import Completion, LanguageModel, Tally
from techsapo_ops.wallbounce.providers.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.provider import Price
from techsapo_ops.wallbounce.providers.reading import NO_LIST
from techsapo_ops.wallbounce.providers.registry import Recipe
from techsapo_ops.wallbounce.providers.try_provider import Candidate, Check, Outcome, Tried, usd
from techsapo_ops.wallbounce.question import Question

ANSWER = '{"answer":"ok","root_cause":"","claims":["a b"],"commands":[],"risk":"reversible","self_conf":1}'
SECTION: TypeAdapter[Any] = TypeAdapter(Section)
Reply = Callable[["Model", Tally], Completion]


class Model(LanguageModel):
    """A model that replies what the test says."""

    reply: Reply

    async def complete(self, prompt: Prompt, question: Question, tally: Tally) -> Completion:
        return self.reply(self, tally)

    async def warm(self) -> None:
        """Nothing to import."""

    async def close(self) -> None:
        """Nothing to give back."""


@pytest.fixture(autouse=True)
def _no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    async def listed(_name: str, _section: Any) -> Any:
        return NO_LIST

    monkeypatch.setattr(trying, "listed_model", listed)


def candidate(reply: Reply, price: Price, at_most: float = 0.01, **section: Any) -> Candidate:
    def make(name: str, spec: Any, of: Price) -> Model:
        model = Model(name, spec, of)
        model.reply = reply
        return model

    given = {
        "kind": "openai",
        "model": "m",
        "api_key": "sk-a-long-key",
        "max_output_tokens": 16_384,
        **section,
    }
    kind = cast("Any", make)
    return Candidate(Recipe("a", SECTION.validate_python(given), price, kind), at_most)


def tried(reply: Reply, price: Price, at_most: float = 0.01, **section: Any) -> Tried:
    running = trying.try_provider(candidate(reply, price, at_most, **section), date(2026, 11, 26))
    return asyncio.run(cast("Any", running))


def answer_of(found: Tried) -> Check:
    return next(check for check in found.checks if check.name == "answer")


def fails(message: str, *, began: bool = False) -> Reply:
    def reply(_model: Model, _tally: Tally) -> Completion:
        raise ProviderError(FailureKind.UNAVAILABLE, message, began=began)

    return reply


@each_row(
    "section, message, told",
    [
        ({"headers": {"OpenAI-Version": "0"}}, "no answer in 20.0 s", "no answer in 20.0 s"),
        ({"api_key": "x"}, "max_tokens is an extra", "max_tokens is an extra"),
        ({}, "bad key sk-a-long-key", "bad key ********"),
        ({"headers": {"Authorization": "Basic dG9wOnNl"}}, "dG9wOnNl is no login", "******** is no login"),
    ],
)
def test_what_is_told_lacks_secrets_but_no_letter_that_happens_to_be_a_value(
    section: dict[str, Any], message: str, told: str
) -> None:
    assert answer_of(tried(fails(message), Price(1, 1), **section)).detail == told


def thinks_until(enough: int) -> Reply:
    """A model that thinks for `enough` tokens before it answers in few."""

    def reply(model: Model, tally: Tally) -> Completion:
        room = model.max_output_tokens
        if room < enough + 60:
            return Completion("", Tokens(600, room), complete=False)
        return Completion(ANSWER, Tokens(600, enough + 60))

    return reply


@each_row(
    "price, remedies",
    [
        (
            Price(2, 10),
            ["`techsapo providers test a --at-most 0.044` covers the cost", "lower the provider's effort"],
        ),
        (Price(0, 0), ["lower the provider's effort", "choose a model that finishes its answer"]),
    ],
)
def test_an_answer_that_the_test_cut_off_is_none_and_says_what_to_do(
    price: Price, remedies: list[str]
) -> None:
    found = tried(thinks_until(20_000), price)
    assert (found.outcome, found.answered) == (Outcome.FAILED, False)
    assert "were used up before the answer was complete" in answer_of(found).detail
    assert all(words in answer_of(found).remedy for words in remedies)
    assert found.cost_usd <= 0.01


def test_one_that_thinks_has_room_for_it_where_the_bound_pays() -> None:
    found = tried(thinks_until(2_500), Price(0.2, 1))
    assert answer_of(found).outcome is Outcome.OK
    assert found.answered
    assert found.cost_usd <= 0.01


def test_one_that_costs_too_much_is_not_asked_and_did_not_answer() -> None:
    found = tried(thinks_until(0), Price(8, 40))
    assert (found.outcome, found.answered) == (Outcome.SKIPPED, False)
    assert answer_of(found).remedy.startswith("`techsapo providers test a --at-most ")


def uncounted(model: Model, tally: Tally) -> Completion:
    return Completion(ANSWER, None)


@each_row("reply", [fails("broke off", began=True), uncounted], ids=["fails", "uncounted"])
def test_what_a_vendor_does_not_count_costs_no_more_than_was_said(reply: Reply) -> None:
    price, said = Price(4, 20), 0.012
    found = tried(reply, price, said)
    assert 0 < found.cost_usd <= candidate(reply, price, said).worst <= said


def test_what_it_may_cost_is_never_said_to_be_less() -> None:
    amounts = (0.0, 0.01, 0.0149, 0.1 + 0.2, 0.0004, 0.03, 1.234)
    said = ["$0.00", "$0.01", "$0.015", "$0.30", "$0.0004", "$0.03", "$1.24"]
    assert [usd(amount) for amount in amounts] == said
