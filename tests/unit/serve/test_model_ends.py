"""When models end, as the app tells it: the catalogue's day until the vendor's list was read."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest
from rows import each_row

from techsapo_ops.serve.metrics.provider_health import DAY, SOON, ModelEnds
from techsapo_ops.spec.models import Spec
from techsapo_ops.wallbounce.providers.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.reading import NO_LIST, Listed

GPT = {"kind": "openai", "model": "gpt-4.1", "api_key": "k"}
GEMINI = {"kind": "google", "model": "gemini-2.5-pro", "api_key": "k"}
CLAUDE = {"kind": "anthropic", "model": "claude-sonnet-5-5", "api_key": "k"}
DOWN = ProviderError(FailureKind.UNAVAILABLE, "cannot be reached")


def ends(told: Mapping[str, Listed | ProviderError] | None = None, **providers: dict[str, Any]) -> ModelEnds:
    """The ends of `providers`, whose vendors' lists say what is `told`."""

    async def ask(name: str, _: Any) -> Listed:
        found = (told or {}).get(name, DOWN)
        if isinstance(found, ProviderError):
            raise found
        return found

    return ModelEnds(Spec.model_validate({"project": "p", "providers": providers}).providers, ask)


def samples(model_ends: ModelEnds) -> dict[tuple[str, str], str]:
    """Day by provider and source."""
    return {
        (labels["provider"], labels["source"]): str(datetime.fromtimestamp(value, UTC))
        for labels, value in model_ends.samples()
    }


def asked(model_ends: ModelEnds, *names: str) -> dict[tuple[str, str], str]:
    for name in names:
        asyncio.run(model_ends.read(name))
    return samples(model_ends)


def test_before_any_list_was_read_the_catalogue_tells_the_days_it_knows() -> None:
    found = samples(ends(gpt=GPT, gemini=GEMINI, claude=CLAUDE, sim={"kind": "simulated"}))
    assert found == {
        ("gpt", "catalogue"): "2027-01-14 00:00:00+00:00",
        ("gemini", "second_hand"): "2026-12-01 00:00:00+00:00",
    }
    assert samples(ends(gpt={**GPT, "base_url": "https://x.example/v1"})) == {}, "of another's it knows none"


def test_what_the_vendor_says_takes_the_place_of_the_catalogues_day() -> None:
    later = Listed(True, tells_ends=True, retires=date(2027, 6, 1))
    none = Listed(True, tells_ends=True)
    told = ends({"gpt": later, "gemini": none, "claude": later}, gpt=GPT, gemini=GEMINI, claude=CLAUDE)
    assert asked(told, "gpt", "gemini", "claude") == {
        ("gpt", "vendor"): "2027-06-01 00:00:00+00:00",
        ("claude", "vendor"): "2027-06-01 00:00:00+00:00",
    }


@each_row("answer", [DOWN, NO_LIST, Listed(True), Listed(False)])
def test_a_list_that_is_not_there_or_tells_no_ends_leaves_the_catalogues_day(
    answer: Listed | ProviderError,
) -> None:
    told = ends({"gpt": answer}, gpt=GPT)
    assert asked(told, "gpt") == {("gpt", "catalogue"): "2027-01-14 00:00:00+00:00"}


def test_a_list_that_can_not_be_read_leaves_what_it_said_before() -> None:
    answers: dict[str, Any] = {"gpt": Listed(True, tells_ends=True, retires=date(2027, 6, 1))}
    told = ends(answers, gpt=GPT)
    before = asked(told, "gpt")
    answers["gpt"] = DOWN
    assert asked(told, "gpt") == before


def test_the_lists_are_read_soon_after_the_start_and_then_about_once_a_day() -> None:
    class Enough(Exception):
        pass

    waits: list[float] = []
    reads: list[str] = []

    async def pause(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 4:
            raise Enough

    async def ask(name: str, _: Any) -> Listed:
        reads.append(name)
        raise DOWN

    spec = Spec.model_validate({"project": "p", "providers": {"gpt": GPT, "claude": CLAUDE}})
    with pytest.raises(Enough):
        asyncio.run(ModelEnds(spec.providers, ask).watch(pause, iter([0.5, 0.0, 1.0, 0.5]).__next__))
    assert waits == [SOON / 2, DAY * 0.9, DAY * 1.1, DAY]
    assert reads == ["gpt", "claude"] * 3
