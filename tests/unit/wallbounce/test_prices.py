from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from types import SimpleNamespace

import pytest
from rows import each_row
from scripted import Scripted

from techsapo_ops.spec.models.providers import Price as PriceSpec
from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.providers.prices import list_price, priced, worst_cost
from techsapo_ops.wallbounce.providers.provider import Price, Rates
from techsapo_ops.wallbounce.question import Question


def test_a_model_has_the_list_price_with_its_source_and_an_unknown_one_none() -> None:
    price = list_price("anthropic", "claude-sonnet-5-5")
    assert price is not None
    assert price.source == f"genai-prices {version('genai-prices')}"
    assert list_price("openai", "no-such-model") is None
    assert list_price("nobody", "gpt-6.1-sol") is None


@each_row("variant", ["nitro", "free", "floor"])
def test_a_variant_of_a_model_behind_openrouter_has_the_models_price(variant: str) -> None:
    price = list_price("openrouter", f"anthropic/claude-sonnet-5.5:{variant}")
    assert price is not None
    assert price == list_price("openrouter", "anthropic/claude-sonnet-5.5")
    assert list_price("openrouter", f"nobody/nothing:{variant}") is None
    assert list_price("openai", f"gpt-6.1-sol:{variant}") is None


def test_the_worst_case_of_a_question_covers_every_byte_and_the_longest_answer() -> None:
    provider = Scripted("a", "x")
    plain = worst_cost(provider, Question("あ" * 100 + "\ud800", "ja"))
    assert plain >= provider.price.cost(Tokens(300, provider.max_output_tokens))
    assert worst_cost(provider, Question("あ" * 100, "ja"), shown=5000) > plain


CALLS = [
    Tokens(1000, 500),
    Tokens(1000, 500, cached=200, cache_written=300),
    Tokens(150_000, 10),
    Tokens(300_000, 500, cached=1000, cache_written=2000),
    Tokens(0, 10),
]


def test_our_arithmetic_makes_of_every_listed_model_what_the_package_of_prices_does() -> None:
    from genai_prices import Usage, calc_price
    from genai_prices.data import providers

    compared = 0
    for vendor in providers:
        if vendor.id not in {"openai", "anthropic", "google", "openrouter"}:
            continue
        for model in vendor.models:
            price = list_price(vendor.id, model.id)
            for tokens in CALLS if price is not None else ():
                usage = Usage(
                    input_tokens=tokens.input,
                    output_tokens=tokens.output,
                    cache_read_tokens=tokens.cached or None,
                    cache_write_tokens=tokens.cache_written or None,
                )
                wanted = float(calc_price(usage, model.id, provider_id=vendor.id).total_price)
                assert price is not None
                assert price.cost(tokens) == pytest.approx(wanted, abs=1e-12), (vendor.id, model.id, tokens)
                assert price.most(tokens.input, tokens.output) >= wanted - 1e-12, (vendor.id, model.id)
                compared += 1
    assert compared > 2500


def test_a_price_that_changes_on_a_day_is_that_of_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    price = list_price("google", "gemini-3.8-flash")
    assert price is not None
    million = Tokens(1_000_000, 1_000_000)
    for moment, usd in (
        (datetime(2026, 12, 31, 23, 59, tzinfo=UTC), 4.5),
        (datetime(2027, 1, 1, tzinfo=UTC), 9.0),
    ):
        clock = SimpleNamespace(time=moment.timestamp)
        monkeypatch.setattr("techsapo_ops.wallbounce.providers.prices.time", clock)
        assert price.cost(million) == pytest.approx(usd)
        assert price.most(1_000_000, 1_000_000) == pytest.approx(usd)


def test_the_specs_price_knows_of_the_cache_and_without_a_word_on_it_all_input_costs_the_same() -> None:
    price, plain = priced(PriceSpec(input=2, output=10, cached_input=0.1, cache_write=2.5)), Price(2, 10)
    cached = Tokens(1000, 100, cached=400, cache_written=500)
    assert price.cost(cached) == pytest.approx(100 * 2e-6 + 400 * 0.1e-6 + 500 * 2.5e-6 + 1e-3)
    assert price.cost(Tokens(1000, 0, cached=9999)) >= 0
    assert priced(PriceSpec(input=2, output=10)) == plain
    assert plain.cost(cached) == plain.cost(Tokens(1000, 100)) == pytest.approx(2e-3 + 1e-3)


def test_the_most_that_a_call_can_cost_is_the_dearest_step_within_reach_all_of_it_put_into_the_cache() -> (
    None
):
    price = Price(
        2, 10, cached=0.1, cache_write=2.5, dearer=(Rates(4, 15, above=1000), Rates(1, 1, above=5000))
    )
    assert price.most(1000, 100) == pytest.approx(1000 * 2.5e-6 + 1e-3)
    assert price.most(1001, 100) == pytest.approx(1001 * 4e-6 + 100 * 15e-6)
    assert price.most(6000, 100) == pytest.approx(6000 * 4e-6 + 100 * 15e-6), "shorter ones are dearer"
    assert price.cost(Tokens(6000, 100)) == pytest.approx(6000e-6 + 100e-6)
