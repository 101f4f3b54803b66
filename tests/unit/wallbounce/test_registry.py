from __future__ import annotations

from typing import Any

import pytest

from techsapo_ops.errors import OpsError
from techsapo_ops.spec.models import Spec
from techsapo_ops.wallbounce.provider import WORST_CASE
from techsapo_ops.wallbounce.providers.openai import retry_after, split_confidence
from techsapo_ops.wallbounce.registry import UNUSED_SIMULATION, build_registry, tier_rules

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
    assert [p.name for p in registry.usable] == ["sim-a", "sim-b", "sim-c"]
    assert registry.simulated


def test_simulated_and_real_providers_never_mix() -> None:
    registry = build_registry(spec({"sim": SIMULATED, "local": LOCAL}), {})
    assert [p.name for p in registry.usable] == ["local"]
    assert registry.unavailable == {"sim": UNUSED_SIMULATION}
    assert not registry.simulated


def test_a_real_provider_that_cannot_be_used_still_keeps_simulated_ones_out() -> None:
    with pytest.raises(OpsError, match="no provider can be used"):
        build_registry(spec({"sim": SIMULATED, "gpt": {"kind": "openai", "model": "gpt-5"}}), {})


def test_kinds_of_later_versions_are_named_as_unavailable() -> None:
    claude = {"kind": "anthropic", "model": "claude-sonnet-4-5", "api_key": "k"}
    registry = build_registry(spec({"claude": claude, "local": LOCAL}), {"gemini": "GEMINI_KEY is not set"})
    assert registry.unavailable == {
        "gemini": "GEMINI_KEY is not set",
        "claude": "kind anthropic is not part of this version; use openai or openai-compatible",
    }


def test_a_disabled_provider_is_left_out_and_named() -> None:
    registry = build_registry(spec({"a": SIMULATED, "b": {**SIMULATED, "enabled": False}}), {})
    assert [p.name for p in registry.usable] == ["a"]
    assert registry.unavailable == {"b": "disabled in the spec"}


def test_without_any_usable_provider_the_error_says_why_for_each() -> None:
    with pytest.raises(OpsError) as caught:
        build_registry(spec({"gpt": {"kind": "openai", "model": "gpt-5"}}), {"x": "X_KEY is not set"})
    assert "x: X_KEY is not set" in caught.value.message
    assert "set providers.gpt.api_key" in caught.value.message


def test_an_unknown_price_is_refused_with_what_to_set() -> None:
    unpriced = {k: v for k, v in LOCAL.items() if k != "price"}
    registry = build_registry(spec({"local": LOCAL, "dear": unpriced}), {})
    assert "set providers.dear.price" in registry.unavailable["dear"]


def test_an_unknown_price_is_reserved_at_the_worst_case_where_the_spec_says_so() -> None:
    unpriced = {k: v for k, v in LOCAL.items() if k != "price"}
    registry = build_registry(spec({"dear": unpriced}, budget={"unknown_price": "reserve"}), {})
    assert registry.usable[0].price == WORST_CASE


def test_no_vendor_sdk_is_imported_before_the_first_question() -> None:
    import subprocess
    import sys

    program = (
        "import sys\n"
        "from techsapo_ops.spec.models import Spec\n"
        "from techsapo_ops.wallbounce.registry import build_registry\n"
        "local = {'kind': 'openai-compatible', 'model': 'm', 'base_url': 'http://x/v1', 'price': {}}\n"
        "build_registry(Spec.model_validate({'project': 'p', 'providers': {'local': local}}), {})\n"
        "print('openai' in sys.modules, 'aiohttp' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_tier_rules_come_from_the_spec() -> None:
    rules = tier_rules(spec(wallbounce={"consensus": 0.5}))
    assert (rules["critical"].providers, rules["critical"].confidence) == (4, 0.9)
    assert {r.consensus for r in rules.values()} == {0.5}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("再起動します。\nconfidence: 0.85", ("再起動します。", 0.85)),
        ("Restart it.\n\nConfidence：1.00\n", ("Restart it.", 1.0)),
        ("no line at all", ("no line at all", None)),
        ("confidence: 1.7", ("confidence: 1.7", None)),
        ("confidence: 0.5 is what they say.", ("confidence: 0.5 is what they say.", None)),
        ("confidence: 0.5", ("", 0.5)),
    ],
)
def test_the_stated_confidence_is_taken_off_the_answers_end(
    text: str, expected: tuple[str, float | None]
) -> None:
    assert split_confidence(text) == expected


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("3", 3.0), ("1.5", 1.5), ("999999999", 3600.0), ("-1", None), ("soon", None), ("nan", None)],
)
def test_retry_after_is_read_as_seconds_or_not_at_all(value: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": value}) == seconds
