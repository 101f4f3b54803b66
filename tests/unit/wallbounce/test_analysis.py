from __future__ import annotations

import asyncio

import pytest
from rows import each_row
from scripted import Scripted, never, orchestrator

from techsapo_ops.wallbounce.analysis import AnalysisError
from techsapo_ops.wallbounce.decorators.bounded import MAX_ANSWER
from techsapo_ops.wallbounce.events import Abandoned, Answered, Began, Cancelled, Failed, Settled
from techsapo_ops.wallbounce.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.question import Question

QUESTION = Question("ディスクが一杯です", "ja", "req-1")
ADVICE = "「df -h」で空き容量を確認し、古いログを削除してください。"


def failing(kind: FailureKind, retry_after: float | None = None) -> Scripted:
    async def fail() -> str:
        raise ProviderError(kind, f"it was {kind}", retry_after=retry_after)

    return Scripted(f"bad-{kind}", fail)


def test_providers_are_asked_at_once() -> None:
    async def main() -> None:
        meeting = asyncio.Barrier(3)

        async def meet() -> str:
            await meeting.wait()  # would wait for ever if they came one by one
            return ADVICE

        bounce, _ = orchestrator(*(Scripted(n, meet) for n in "abc"))
        analysis = await asyncio.wait_for(bounce.analyse(QUESTION, "premium"), 5)
        assert [a.provider for a in analysis.answers] == ["a", "b", "c"]

    asyncio.run(main())


def test_events_tell_the_whole_story_in_order() -> None:
    bounce, events = orchestrator(
        Scripted("a", ADVICE), failing(FailureKind.RATE_LIMITED), Scripted("b", ADVICE)
    )
    analysis = asyncio.run(bounce.analyse(QUESTION, "basic"))
    names = [type(e).__name__ for e in events]
    assert (names[0], sorted(names[1:4]), names[4:]) == (
        "Began",
        ["Answered", "Answered", "Failed"],
        ["Began", "Graded", "Graded", "Settled"],
    )
    settled = events[-1]
    assert isinstance(settled, Settled)
    assert settled.analysis is analysis
    assert settled.agreement == ((("a", "b"), pytest.approx(1)),)
    assert all(e.request_id == "req-1" for e in events)


def test_a_sole_survivor_is_not_accepted_however_sure() -> None:
    bounce, _ = orchestrator(Scripted("a", ADVICE), failing(FailureKind.REFUSED))
    verdict = asyncio.run(bounce.analyse(QUESTION, "basic")).verdict
    assert verdict.confidence <= 0.5
    assert not verdict.accepted
    assert verdict.notes == ("sole_answer",)


def test_a_slow_provider_is_cut_off_at_its_own_deadline() -> None:
    slow = Scripted("slow", never, timeout=0.05)
    bounce, events = orchestrator(Scripted("a", ADVICE), slow)
    analysis = asyncio.run(bounce.analyse(QUESTION, "basic"))
    assert slow.cancelled
    assert analysis.failures[0].kind is FailureKind.TIMEOUT
    assert not any(isinstance(e, Cancelled) and e.provider != "slow" for e in events)


def test_cancelling_an_analysis_cancels_every_call_under_way() -> None:
    async def main() -> None:
        providers = [Scripted(n, never) for n in "ab"]
        bounce, events = orchestrator(*providers)
        task = asyncio.create_task(bounce.analyse(QUESTION, "basic"))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert all(p.cancelled for p in providers)
        assert [type(e) for e in events] == [Began, Cancelled, Cancelled]
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


@each_row("text", ["", " \n ", "あ" * (MAX_ANSWER + 1)])
def test_an_empty_or_endless_answer_is_a_failure(text: str) -> None:
    bounce, events = orchestrator(Scripted("a", ADVICE), Scripted("b", text))
    analysis = asyncio.run(bounce.analyse(QUESTION, "basic"))
    assert [f.kind for f in analysis.failures] == [FailureKind.BAD_ANSWER]
    assert sum(isinstance(e, Answered) for e in events) == 1


def test_when_all_fail_the_error_names_each_and_says_how_long_to_wait() -> None:
    bounce, events = orchestrator(
        failing(FailureKind.RATE_LIMITED, 7), failing(FailureKind.UNAVAILABLE), wanted=2
    )
    with pytest.raises(AnalysisError) as caught:
        asyncio.run(bounce.analyse(QUESTION, "basic"))
    assert caught.value.code == "providers_failed"
    assert caught.value.retry_after == 7
    assert "bad-rate_limited: rate_limited, bad-unavailable: unavailable" in caught.value.message
    assert [type(e) for e in events] == [Began, Failed, Failed, Abandoned]


def test_a_question_that_may_cost_too_much_is_refused_before_anything_is_spent() -> None:
    provider = Scripted("a", ADVICE)
    bounce, events = orchestrator(provider, per_request_usd=0.001)
    with pytest.raises(AnalysisError) as caught:
        asyncio.run(bounce.analyse(QUESTION, "basic"))
    assert caught.value.code == "over_request_budget"
    assert [type(e) for e in events] == [Abandoned]


def test_cost_is_the_sum_of_what_each_answer_and_grading_cost() -> None:
    bounce, _ = orchestrator(Scripted("a", ADVICE), Scripted("b", ADVICE))
    analysis = asyncio.run(bounce.analyse(QUESTION, "basic"))
    answer = (10 * 1.0 + len(ADVICE) * 10.0) / 1_000_000
    grading = (20 * 1.0 + 5 * 10.0) / 1_000_000
    assert analysis.cost_usd == pytest.approx(2 * answer + 2 * grading)
