"""What trying a provider makes of what its model replies; the whole of it, with vendors, is a lab's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import TypeAdapter

from techsapo_ops.spec.models.providers import Provider as Section
from techsapo_ops.wallbounce import try_provider as trying
from techsapo_ops.wallbounce.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.prompts import Prompt
from techsapo_ops.wallbounce.provider import Price
from techsapo_ops.wallbounce.providers.base import Completion, KeyedModel, Tally
from techsapo_ops.wallbounce.providers.listed import NO_LIST
from techsapo_ops.wallbounce.question import Question
from techsapo_ops.wallbounce.registry import Recipe
from techsapo_ops.wallbounce.tried import Check, Tried

ANSWER = '{"answer":"ok","root_cause":"","claims":["a b c"],"commands":[],"risk":"read","self_conf":0.9}'
SECTION: TypeAdapter[Any] = TypeAdapter(Section)
Reply = Callable[["Model", Tally], Completion]


class Model(KeyedModel):
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


def candidate(reply: Reply, price: Price, at_most: float = 0.01, **section: Any) -> trying.Candidate:
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
    kind = cast("Any", SimpleNamespace(make=make))
    return trying.Candidate(Recipe("a", SECTION.validate_python(given), price, kind), at_most)


def tried(reply: Reply, price: Price, at_most: float = 0.01, **section: Any) -> Tried:
    running: Awaitable[Tried] = trying.try_provider(
        candidate(reply, price, at_most, **section), date(2026, 11, 26)
    )
    return asyncio.run(cast("Any", running))


def answer_of(found: Tried) -> Check:
    return next(check for check in found.checks if check.name == "answer")


def fails(message: str, *, began: bool = False) -> Reply:
    def reply(_model: Model, _tally: Tally) -> Completion:
        raise ProviderError(FailureKind.UNAVAILABLE, message, began=began)

    return reply


@pytest.mark.parametrize(
    ("section", "message", "told"),
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
