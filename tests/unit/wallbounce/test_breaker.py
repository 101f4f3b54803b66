from __future__ import annotations

import asyncio
from math import inf

import pytest
from rows import each_row
from scripted import Scripted, never

from techsapo_ops.wallbounce.providers.breaker import MAX_COOLDOWN, REST, Breaker, CircuitOpen
from techsapo_ops.wallbounce.providers.failures import (
    LASTING,
    Cause,
    FailureKind,
    NotAskedError,
    ProviderError,
    advice,
)
from techsapo_ops.wallbounce.providers.guarded import Guarded
from techsapo_ops.wallbounce.providers.provider import AskAnswer
from techsapo_ops.wallbounce.question import Question

DOWN = FailureKind.UNAVAILABLE
QUESTION = Question("q", "en")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def breaker(failures: int = 2) -> tuple[Breaker, Clock]:
    clock = Clock()
    return Breaker("a", "m", failures=failures, cooldown=10.0, clock=clock), clock


def fail(made: Breaker, times: int = 1) -> None:
    for _ in range(times):
        made.admit().ended(DOWN)


def test_it_opens_after_so_many_failures_in_a_row_and_says_so() -> None:
    made, _ = breaker()
    fail(made, 2)
    assert made.state == "open"
    assert made.failed == 2
    with pytest.raises(CircuitOpen) as caught:
        made.admit()
    assert caught.value.retry_after == pytest.approx(10)


@each_row(
    "ends, state",
    [
        ([DOWN, DOWN], "open"),
        ([DOWN, None, DOWN], "closed"),
        *(
            ([k] * 9, "closed")
            for k in (FailureKind.REFUSED, FailureKind.RATE_LIMITED, FailureKind.BAD_ANSWER)
        ),
    ],
)
def test_only_failures_in_a_row_of_who_does_not_answer_at_all_open_it(
    ends: list[FailureKind | None], state: str
) -> None:
    made, _ = breaker()
    for end in ends:
        made.admit().ended(end)
    assert made.state == state


def test_one_probe_at_a_time_closes_it_again() -> None:
    made, clock = breaker()
    fail(made, 2)
    clock.now += 10
    assert made.state == "half-open"
    probe = made.admit()
    with pytest.raises(CircuitOpen):
        made.admit()
    probe.ended(None)
    assert made.state == "closed"
    fail(made)
    assert made.state == "closed"


def test_a_failing_probe_doubles_the_cool_down_up_to_a_limit() -> None:
    made, clock = breaker()
    fail(made, 2)
    waits = [made.retry_in]
    for _ in range(8):
        clock.now += MAX_COOLDOWN
        fail(made)
        waits.append(made.retry_in)
    assert waits[:3] == [10.0, 20.0, 40.0]
    assert max(waits) == MAX_COOLDOWN
    clock.now += MAX_COOLDOWN
    made.admit().ended(None)
    fail(made, 2)
    assert made.retry_in == 10.0


def test_a_probe_that_is_given_up_frees_its_place() -> None:
    made, clock = breaker()
    fail(made, 2)
    clock.now += 10
    made.admit().given_up()
    assert made.state == "half-open"
    made.admit().ended(None)
    assert made.state == "closed"


def test_a_call_from_before_it_opened_can_neither_close_nor_reopen_it() -> None:
    made, clock = breaker()
    old, older = made.admit(), made.admit()
    fail(made, 2)
    old.ended(None)
    assert made.state == "open"
    clock.now += 10
    made.admit().ended(None)
    older.ended(DOWN)
    fail(made)
    assert made.state == "closed"


@each_row("cause", sorted(LASTING))
def test_a_cause_that_lasts_opens_it_at_once_and_it_is_tried_now_and_then(cause: Cause) -> None:
    made, clock = breaker(failures=5)
    made.admit().ended(advice(cause).kind, cause)
    assert (made.state, made.cause) == ("open", cause)
    for _ in range(6):
        assert made.retry_in == REST
        with pytest.raises(CircuitOpen) as caught:
            made.admit()
        assert (caught.value.kind, caught.value.cause) == (advice(cause).kind, cause)
        assert advice(cause).what in caught.value.message
        clock.now += REST
        made.admit().ended(advice(cause).kind, cause)
    clock.now += REST
    made.admit().ended(None)
    assert (made.state, made.cause) == ("closed", None)


def test_a_key_that_is_refused_at_the_probe_after_an_outage_rests_as_such_and_the_other_way_round() -> None:
    made, clock = breaker(failures=1)
    for kind, cause in ((DOWN, Cause.SERVER), (FailureKind.REFUSED, Cause.KEY), (DOWN, Cause.SERVER)):
        made.admit().ended(kind, cause)
        assert made.retry_in == (REST if cause is Cause.KEY else 10.0)
        clock.now += REST
    assert made.cause is None


@each_row("cause", [Cause.CONTENT, Cause.TOO_LONG, Cause.REJECTED, Cause.PARAMETER])
def test_a_refusal_that_a_question_could_bring_about_stops_nobody(cause: Cause) -> None:
    made, _ = breaker(failures=1)
    for _ in range(9):
        made.admit().ended(FailureKind.REFUSED, cause)
    assert made.state == "closed"


def guarded(provider: Scripted, failures: int = 2) -> tuple[Guarded, Breaker]:
    made = breaker(failures)[0]
    return Guarded(provider, made), made


@each_row(
    "timeout, limit, state", [(0.05, inf, "open"), (60, 0.02, "closed")], ids=["its own", "the phase's"]
)
def test_time_outs_count_against_a_provider_and_the_end_of_a_phase_does_not(
    timeout: float, limit: float, state: str
) -> None:
    async def main() -> None:
        guard, made = guarded(Scripted("a", never, timeout=timeout), failures=1)
        with pytest.raises(ProviderError):
            await guard.call(AskAnswer(QUESTION, limit=limit))
        assert made.state == state

    asyncio.run(main())


def test_a_caller_that_leaves_teaches_the_breaker_nothing() -> None:
    async def main() -> None:
        provider = Scripted("a", never)
        guard, made = guarded(provider, failures=1)
        call = asyncio.create_task(guard.call(AskAnswer(QUESTION)))
        await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert provider.cancelled
        assert made.state == "closed"

    asyncio.run(main())


def test_a_call_that_was_not_made_for_lack_of_money_teaches_the_breaker_nothing() -> None:
    async def down() -> str:
        raise ProviderError(DOWN, "down")

    async def no_room() -> str:
        raise NotAskedError(FailureKind.REFUSED, "not enough budget is left for this call")

    async def main() -> None:
        answers = iter([down, no_room, down])
        guard, made = guarded(Scripted("a", lambda: next(answers)()), failures=2)
        for _ in range(3):
            with pytest.raises(ProviderError):
                await guard.call(AskAnswer(QUESTION))
        assert made.state == "open"

    asyncio.run(main())
