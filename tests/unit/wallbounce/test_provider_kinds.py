from __future__ import annotations

import asyncio
from typing import Any, Literal, get_args

import pytest
from rows import each_row
from scripted import Purse

from techsapo_ops.errors import OpsError
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models import providers as sections
from techsapo_ops.wallbounce.context import AnalysisContext
from techsapo_ops.wallbounce.examination.prompts import Prompt
from techsapo_ops.wallbounce.providers.base import Completion, LanguageModel, Tally
from techsapo_ops.wallbounce.providers.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.provider import Ask, AskAnswer
from techsapo_ops.wallbounce.providers.registry import KINDS, UNUSED_SIMULATION, build_registry
from techsapo_ops.wallbounce.question import Question

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
    vendors = {
        "openai": "gpt-6.1-sol", "anthropic": "claude-sonnet-5-5", "google": "gemini-3.8-flash",
        "openrouter": "anthropic/claude-sonnet-5.5",
    }  # fmt: skip
    given = {kind: {"kind": kind, "model": model, "api_key": "k"} for kind, model in vendors.items()}
    own_price = {**given["anthropic"], "price": {"input": 1, "output": 2}}
    registry = build_registry(spec({**given, "local": LOCAL, "own": own_price}), {"x": "X_KEY is not set"})
    assert [p.kind for p in registry.usable] == [*vendors, "openai-compatible", "anthropic"]
    assert registry.unavailable == {"x": "X_KEY is not set"}
    assert len({id(b) for b in registry.breakers}) == 6
    assert [p.price.source.split()[0] for p in registry.usable] == ["genai-prices"] * 4 + ["spec"] * 2
    assert (registry.usable[5].price.input, registry.usable[5].price.output) == (1, 2)


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


QUESTION = Question("ディスクが一杯です", "ja", "req-1")


def kinds_of_the_spec() -> dict[str, type[Any]]:
    """The section of the spec by kind."""
    union = get_args(sections.Provider)[0]
    return {get_args(s.model_fields["kind"].annotation)[0]: s for s in get_args(union)}


def test_every_kind_of_the_spec_has_its_class() -> None:
    assert KINDS.keys() == kinds_of_the_spec().keys()


class ToyProvider(sections.KeyedProvider):
    """A vendor that the package does not know."""

    kind: Literal["toy-vendor"]
    base_url: str | None = None


class Toy(LanguageModel):
    """Breaks off once, then answers in words."""

    kind = "toy-vendor"
    calls = 0

    @classmethod
    def lacks(cls, _name: str, spec: Any) -> str | None:
        return None if spec.api_key else "the toy wants a key"

    async def complete(self, prompt: Prompt, question: Question, tally: Tally) -> Completion:
        self.calls += 1
        if self.calls == 1:
            raise ProviderError(FailureKind.UNAVAILABLE, "broke off", began=True)
        return Completion(f"{prompt.user}: df -h", None)

    async def warm(self) -> None: ...

    async def close(self) -> None: ...


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> type[ToyProvider]:
    """The section of the spec of a vendor whose class is known."""
    monkeypatch.setitem(KINDS, "toy-vendor", Toy)
    return ToyProvider


def spec_with(section: sections.KeyedProvider) -> Spec:
    base = Spec.model_validate({"project": "p", "wallbounce": {"breaker": {"failures": 1, "cooldown": "3s"}}})
    return base.model_copy(update={"providers": {"toy": section}})


def test_a_vendor_that_the_package_does_not_know_is_a_class_and_a_section(toy: type[ToyProvider]) -> None:
    given = {"kind": "toy-vendor", "model": "m", "api_key": "k", "price": {"input": 1, "output": 2}}
    registry = build_registry(spec_with(toy.model_validate(given)), {})
    (provider,) = registry.usable
    assert (provider.name, provider.kind, provider.model) == ("toy", "toy-vendor", "m")
    purse = Purse()
    ask: Ask = AskAnswer(QUESTION, context=AnalysisContext(payer=purse))
    with pytest.raises(ProviderError):
        asyncio.run(provider.call(ask))
    assert [charge.status for charge in purse.booked] == ["unavailable"], "it is metered"
    assert purse.booked[0].cost_usd, "and priced"
    assert provider.breaker is registry.breakers[0]
    assert registry.breakers[0].state == "open", "and guarded"
    assert registry.breakers[0].retry_in == pytest.approx(3, abs=0.5)
