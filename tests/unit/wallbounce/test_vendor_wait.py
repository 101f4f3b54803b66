"""How long an analysis waits for vendors: calls at the same time count once, what is ours not at all."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import virtual
from rows import each_row
from scripted import Scripted, never, orchestrator

from techsapo_ops.wallbounce.analysis import AnalysisError
from techsapo_ops.wallbounce.answers import Answer, Grades, Peer
from techsapo_ops.wallbounce.context import AnalysisContext, VendorWait
from techsapo_ops.wallbounce.providers.failures import FailureKind, ProviderError
from techsapo_ops.wallbounce.providers.guarded import Guarded
from techsapo_ops.wallbounce.providers.provider import AskAnswer
from techsapo_ops.wallbounce.question import Question


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_calls_at_the_same_time_count_once_and_one_that_fails_too() -> None:
    clock = Clock()
    wait = VendorWait(clock)
    with wait:
        clock.now += 3
        with wait:
            clock.now += 4
        clock.now += 1
    clock.now += 50
    with contextlib.suppress(ProviderError), wait:
        clock.now += 2
        raise ProviderError(FailureKind.TIMEOUT, "late")
    clock.now += 50
    assert wait.seconds() == 10


def test_a_pause_between_two_attempts_is_a_wait_for_the_vendor() -> None:
    clock = Clock()
    wait = VendorWait(clock)
    attempts = iter([ProviderError(FailureKind.UNAVAILABLE, "busy", retry_after=2), None])

    async def script() -> str:
        clock.now += 1
        if (error := next(attempts)) is not None:
            raise error
        return "the disk is full"

    async def sleep(seconds: float) -> None:
        clock.now += seconds

    vendor = Scripted("a", script)
    vendor.attempts = 2
    provider = Guarded(vendor, sleep=sleep, draw=lambda: 0.0)
    ask = AskAnswer(Question("why", "en", "req-1"), context=AnalysisContext(wait=wait))
    asyncio.run(provider.call(ask))
    assert wait.seconds() == 4


class Undecided(Scripted):
    """Answers at once, and never comes to an end with its grades."""

    async def grade(self, question: Question, peers: Sequence[Peer], own: Answer | None = None) -> Grades:
        await never()
        raise AssertionError


async def broken() -> str:
    raise ProviderError(FailureKind.TIMEOUT, "the vendor itself says that it was too late")


@each_row(
    "providers, cut_off",
    [
        ([Scripted("a", "x"), Scripted("b", "x"), Scripted("c", "x")], False),
        ([Scripted("a", "x"), Scripted("b", "x"), Scripted("c", never, timeout=60)], True),
        ([Scripted("a", never, timeout=60), Scripted("b", never, timeout=60)], True),
        ([Scripted("a", "x"), Undecided("b", "x", timeout=60)], True),
        ([Scripted("a", "x"), Scripted("b", never, timeout=10)], False),
        ([Scripted("a", "x"), Undecided("b", "x", timeout=10)], False),
        ([Scripted("a", "x"), Scripted("b", broken, timeout=60)], False),
    ],
    ids=[
        "all are quick", "an answer", "all answers", "grades",
        "its own time-out", "its own time-out for grades", "its own failure",
    ],
)  # fmt: skip
def test_what_the_end_of_a_phase_cuts_off_is_noted_and_no_failure_of_a_providers_own(
    providers: list[Scripted], cut_off: bool
) -> None:
    wait = VendorWait()

    async def analyse() -> None:
        bounce, _ = orchestrator(*providers, deadline=100)
        try:
            await bounce.analyse(Question("why", "en", "req-1"), "basic", wait=wait)
        except AnalysisError:
            assert len(providers) == 2, "all answers"

    virtual.run(analyse())
    assert wait.cut_off == cut_off
