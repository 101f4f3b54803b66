from __future__ import annotations

from importlib.metadata import version

import pytest

from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.prices import list_price
from techsapo_ops.wallbounce.provider import WORST_CASE, Price
from techsapo_ops.wallbounce.question import Question
from techsapo_ops.wallbounce.worst_cases import worst_cost

KNOWN = [
    ("openai", "gpt-6.1-sol"),
    ("openai", "gpt-6.1-terra"),
    ("openai", "gpt-6-luna"),
    ("google", "gemini-3.8-flash"),
    ("google", "gemini-3.5-flash-lite"),
    ("anthropic", "claude-sonnet-5-5"),
    ("anthropic", "claude-haiku-5-5"),
    ("openrouter", "anthropic/claude-sonnet-5.5"),
    ("openrouter", "qwen/qwen3-235b-a22b"),
]


@pytest.mark.parametrize(("vendor", "model"), KNOWN)
def test_known_models_have_a_list_price_that_names_its_source(vendor: str, model: str) -> None:
    price = list_price(vendor, model)
    assert price is not None
    assert 0 < price.input < price.output
    assert price.known
    assert price.source == f"genai-prices {version('genai-prices')}"
    assert price.input <= WORST_CASE.input
    assert price.output <= WORST_CASE.output


def test_an_unknown_model_has_no_price() -> None:
    assert list_price("openai", "no-such-model") is None
    assert list_price("nobody", "gpt-6.1-sol") is None


def test_a_short_calls_cost_is_what_input_and_output_say() -> None:
    price = list_price("openai", "gpt-6.1-sol")
    assert price is not None
    tokens = Tokens(1000, 500)
    assert price.cost(tokens) == pytest.approx(Price(price.input, price.output).cost(tokens))


def test_cached_input_is_cheaper_and_long_prompts_of_a_tiered_model_dearer() -> None:
    price = list_price("openai", "gpt-6.1-sol")
    assert price is not None
    assert price.cost(Tokens(1000, 0, cached=800)) < price.cost(Tokens(1000, 0))
    assert price.cost(Tokens(1000, 0, cached=9999)) >= 0
    assert price.cost(Tokens(300_000, 0)) > 300 * price.cost(Tokens(1000, 0))


def test_the_worst_case_of_a_question_covers_every_byte_and_the_longest_answer() -> None:
    from scripted import Scripted

    provider = Scripted("a", "x")
    plain = worst_cost(provider, Question("あ" * 100 + "\ud800", "ja"))
    assert plain >= provider.price.cost(Tokens(300, provider.max_output_tokens))
    assert worst_cost(provider, Question("あ" * 100, "ja"), shown=5000) > plain
