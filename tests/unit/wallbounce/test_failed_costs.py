"""What calls cost that brought no answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from scripted import Purse, Scripted, never, orchestrator

from techsapo_ops.wallbounce.context import AnalysisContext
from techsapo_ops.wallbounce.providers.breaker import Breaker, CircuitOpen
from techsapo_ops.wallbounce.providers.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.guarded import Guarded
from techsapo_ops.wallbounce.providers.prices import worst_cost
from techsapo_ops.wallbounce.providers.provider import AskAnswer, Provider
from techsapo_ops.wallbounce.question import Question

QUESTION = Question("何が起きましたか", "ja", "req-1")
TEXT = "ディスクが一杯です"
PAID = 0.25


async def no_sleep(_: float) -> None: ...


def scripted(script: Callable[[], object], timeout: float = 5.0) -> Scripted:
    """A provider that is asked up to three times."""
    provider = Scripted("a", script, timeout=timeout)  # type: ignore[arg-type]
    provider.attempts = 3
    return provider


def guarded(inner: Provider) -> Provider:
    return Guarded(inner, Breaker("a", "m"), sleep=no_sleep)


def breaks_off(times: int, cost: float = PAID) -> Callable[[], object]:
    """A script that fails `times` times after the vendor had begun to answer."""
    left = times

    async def script() -> str:
        nonlocal left
        left -= 1
        if left >= 0:
            raise ProviderError(FailureKind.UNAVAILABLE, "broke off", cost_usd=cost, began=True)
        return TEXT

    return script


def test_all_attempts_count_whether_the_last_one_brought_an_answer_or_not() -> None:
    once = asyncio.run(Scripted("a", TEXT).call(AskAnswer(QUESTION))).cost_usd
    answer = asyncio.run(guarded(scripted(breaks_off(2))).call(AskAnswer(QUESTION)))
    assert answer.cost_usd == pytest.approx(once + 2 * PAID)
    with pytest.raises(ProviderError) as caught:
        asyncio.run(guarded(scripted(breaks_off(9))).call(AskAnswer(QUESTION)))
    assert caught.value.cost_usd == pytest.approx(3 * PAID)


def test_what_failed_before_the_time_was_over_is_part_of_what_a_call_costs() -> None:
    attempts = iter([breaks_off(1), never])
    provider = scripted(lambda: next(attempts)())
    call = Guarded(provider, sleep=no_sleep, draw=lambda: 0.0).call
    with pytest.raises(ProviderError) as caught:
        asyncio.run(call(AskAnswer(QUESTION, limit=0.05)))
    assert caught.value.kind is FailureKind.TIMEOUT
    assert caught.value.cost_usd == pytest.approx(PAID + worst_cost(provider, QUESTION))
    assert provider.cancelled


def test_failed_calls_count_as_spent_in_the_analysis_and_are_told_with_the_failure() -> None:
    bounce, events = orchestrator(Scripted("a", TEXT), Scripted("b", TEXT), Scripted("c", breaks_off(9)))
    analysis = asyncio.run(bounce.analyse(QUESTION, "basic"))
    (failure,) = analysis.failures
    assert failure.cost_usd == PAID
    without, _ = orchestrator(Scripted("a", TEXT), Scripted("b", TEXT))
    assert analysis.cost_usd == pytest.approx(asyncio.run(without.analyse(QUESTION, "basic")).cost_usd + PAID)
    assert any(getattr(event, "failure", None) == failure for event in events)


def test_an_answer_that_is_thrown_away_is_paid_all_the_same() -> None:
    bounce, _ = orchestrator(Scripted("a", TEXT), Scripted("b", TEXT), Scripted("c", "  "))
    analysis = asyncio.run(bounce.analyse(QUESTION, "basic"))
    (failure,) = analysis.failures
    assert (failure.kind, failure.cost_usd) == (FailureKind.BAD_ANSWER, pytest.approx(40e-6 - 10e-6))


def test_the_limit_of_one_request_takes_failed_calls_into_account() -> None:
    limit = 3 * PAID
    bounce, _ = orchestrator(
        Scripted("a", TEXT), Scripted("b", "別の答え"), Scripted("c", breaks_off(9, limit)),
        per_request_usd=limit,
    )  # fmt: skip
    analysis = asyncio.run(bounce.analyse(QUESTION, "basic"))
    assert analysis.bounces == ()
    assert analysis.cost_usd > limit, "what was billed is said, though it was more than was foreseen"


def test_each_attempt_is_paid_for_and_one_that_the_breaker_stops_is_not() -> None:
    payer = Purse()
    guard = Guarded(scripted(breaks_off(9)), Breaker("a", "m", failures=2), sleep=no_sleep)
    with pytest.raises(CircuitOpen) as caught:
        asyncio.run(guard.call(AskAnswer(QUESTION, context=AnalysisContext(payer=payer))))
    assert caught.value.cost_usd == pytest.approx(2 * PAID)
    assert payer.held == [worst_cost(guard, QUESTION)] * 2
    assert [(c.phase, c.status, c.cost_usd) for c in payer.booked] == [("answer", "unavailable", PAID)] * 2


def test_a_call_that_was_cut_off_is_booked_without_a_cost_for_the_payer_to_charge_its_worst_case() -> None:
    payer = Purse()
    guard = Guarded(Scripted("a", never, timeout=0.05))
    with pytest.raises(ProviderError):
        asyncio.run(guard.call(AskAnswer(QUESTION, context=AnalysisContext(payer=payer))))
    (charge,) = payer.booked
    assert (charge.provider, charge.status, charge.cost_usd) == ("a", "cut_off", None)
