"""A new vendor is its class, its section of the spec and its wire cases: nothing else names a vendor."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import pytest
from scripted import Purse

import techsapo_ops
from techsapo_ops.errors import OpsError
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models import providers as sections
from techsapo_ops.wallbounce.asks import Ask, AskAnswer
from techsapo_ops.wallbounce.context import AnalysisContext
from techsapo_ops.wallbounce.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.prompts import Prompt
from techsapo_ops.wallbounce.provider import SIMULATED
from techsapo_ops.wallbounce.providers.base import Completion, LanguageModel, Tally
from techsapo_ops.wallbounce.providers.kinds import KINDS
from techsapo_ops.wallbounce.question import Question
from techsapo_ops.wallbounce.registry import build_registry

PACKAGE = Path(techsapo_ops.__file__).parent
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
    base = Spec.model_validate({"project": "p", "wallbounce": {"breaker": {"failures": 1}}})
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
    assert registry.breaker_of(provider) is registry.breakers[0]
    assert registry.breakers[0].state == "open", "and guarded"


def test_what_it_lacks_and_what_is_not_known_of_its_price_is_said(toy: type[ToyProvider]) -> None:
    keyless = toy.model_validate({"kind": "toy-vendor", "model": "m"})
    with pytest.raises(OpsError, match="the toy wants a key"):
        build_registry(spec_with(keyless), {})
    unpriced = toy.model_validate({"kind": "toy-vendor", "model": "m", "api_key": "k"})
    with pytest.raises(OpsError, match=r"set providers\.toy\.price"):
        build_registry(spec_with(unpriced), {})


def sources(*rooms: str) -> Iterator[tuple[str, ast.AST]]:
    """Every node of the modules of these rooms but the vendors' own, with its place."""
    for room in rooms:
        for path in (PACKAGE / room).rglob("*.py"):
            if path.parent.name != "providers":
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                    yield f"{path.relative_to(PACKAGE)}:{getattr(node, 'lineno', 0)}", node


def test_nothing_outside_its_module_asks_for_a_vendor() -> None:
    kinds = set(kinds_of_the_spec()) - {SIMULATED}
    classes = {section.__name__ for section in kinds_of_the_spec().values()}
    named = [
        place
        for place, node in sources("wallbounce", "serve")
        if (isinstance(node, ast.Name) and node.id in classes)
        or (isinstance(node, ast.alias) and node.name in classes)
        or (
            isinstance(node, ast.Compare | ast.MatchValue | ast.Dict)
            and any(isinstance(n, ast.Constant) and n.value in kinds for n in ast.walk(node))
        )
    ]
    assert not named
