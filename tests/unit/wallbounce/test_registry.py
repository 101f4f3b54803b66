from __future__ import annotations

from typing import Any

import pytest
from rows import each_row

from techsapo_ops.errors import OpsError
from techsapo_ops.spec.models import Spec
from techsapo_ops.wallbounce.registry import UNUSED_SIMULATION, build_registry

SIMULATED = {"kind": "simulated"}
LOCAL = {
    "kind": "openai-compatible",
    "model": "qwen3",
    "base_url": "http://127.0.0.1:11434/v1",
    "price": {"input": 0, "output": 0},
}


def spec(providers: dict[str, Any] | None = None, **sections: Any) -> Spec:
    given = {} if providers is None else {"providers": providers}
    return Spec.model_validate({"project": "techsapo", **given, **sections})


def test_simulated_providers_answer_while_no_real_one_is_configured() -> None:
    registry = build_registry(spec(), {})
    assert [p.name for p in registry.usable] == ["sim-a", "sim-b", "sim-c", "sim-d"]
    assert registry.simulated


def test_simulated_and_real_providers_never_mix() -> None:
    registry = build_registry(spec({"sim": SIMULATED, "local": LOCAL}), {})
    assert [p.name for p in registry.usable] == ["local"]
    assert registry.unavailable == {"sim": UNUSED_SIMULATION}
    assert not registry.simulated


def test_a_real_provider_that_cannot_be_used_still_keeps_simulated_ones_out() -> None:
    with pytest.raises(OpsError, match="no provider can be used"):
        build_registry(spec({"sim": SIMULATED, "gpt": {"kind": "openai", "model": "gpt-6.1-sol"}}), {})


def test_every_kind_of_the_spec_becomes_a_provider_with_a_breaker_of_its_own() -> None:
    vendors = {"openai": "gpt-6.1-sol", "anthropic": "claude-sonnet-5-5", "google": "gemini-3.8-flash"}
    given: dict[str, Any] = {
        kind: {"kind": kind, "model": model, "api_key": "k"} for kind, model in vendors.items()
    }
    given["openrouter"] = {"kind": "openrouter", "model": "anthropic/claude-sonnet-5.5", "api_key": "k"}
    registry = build_registry(spec({**given, "local": LOCAL}), {"x": "X_KEY is not set"})
    assert [p.kind for p in registry.usable] == [
        "openai", "anthropic", "google", "openrouter", "openai-compatible",
    ]  # fmt: skip
    assert registry.unavailable == {"x": "X_KEY is not set"}
    assert len({id(b) for b in registry.breakers}) == 5
    assert [p.price.source.split()[0] for p in registry.usable] == ["genai-prices"] * 4 + ["spec"]


@each_row("kind", ["openai", "anthropic", "google", "openrouter"])
def test_a_vendor_without_a_key_is_unavailable(kind: str) -> None:
    registry = build_registry(spec({"local": LOCAL, "v": {"kind": kind, "model": "m"}}), {})
    assert registry.unavailable == {"v": "no key; set providers.v.api_key or api_key_file"}


def test_without_any_usable_provider_the_error_says_why_for_each() -> None:
    with pytest.raises(OpsError) as caught:
        build_registry(spec({"gpt": {"kind": "openai", "model": "gpt-6.1-sol"}}), {"x": "X_KEY is not set"})
    assert "x: X_KEY is not set" in caught.value.message
    assert "set providers.gpt.api_key" in caught.value.message


def test_an_unknown_price_is_refused_with_what_to_set() -> None:
    unpriced = {k: v for k, v in LOCAL.items() if k != "price"}
    registry = build_registry(spec({"local": LOCAL, "dear": unpriced}), {})
    assert "set providers.dear.price" in registry.unavailable["dear"]


def test_the_specs_price_goes_before_the_list_price() -> None:
    claude = {
        "kind": "anthropic",
        "model": "claude-sonnet-5-5",
        "api_key": "k",
        "price": {"input": 1, "output": 2},
    }
    price = build_registry(spec({"claude": claude}), {}).usable[0].price
    assert (price.input, price.output, price.source) == (1, 2, "spec")
