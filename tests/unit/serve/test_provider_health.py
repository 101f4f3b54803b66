from __future__ import annotations

from rows import each_row

from techsapo_ops.serve.metrics.provider_health import REFUSING, ProviderHealth
from techsapo_ops.spec.models.providers import SimulatedProvider
from techsapo_ops.wallbounce.providers.breaker import REST, Breaker
from techsapo_ops.wallbounce.providers.failures import (
    LASTING,
    NOT_ITS_OWN,
    Cause,
    Failure,
    FailureKind,
    advice,
)
from techsapo_ops.wallbounce.providers.simulated import Simulated

NAME = {"provider": "sim-a"}


class Watched:
    """The health of one provider behind a breaker, at a time of its own."""

    def __init__(self) -> None:
        self.now = 0.0
        provider = Simulated("sim-a", SimulatedProvider(kind="simulated"))
        self.breaker = Breaker("sim-a", "m", failures=3, cooldown=600, clock=lambda: self.now)
        self.health = ProviderHealth([provider], clock=lambda: self.now)
        self.health.watch([self.breaker])

    def fail(self, cause: Cause = Cause.SERVER) -> None:
        self.health.failed(Failure("sim-a", "m", advice(cause).kind, "it failed", 0.1, cause=cause))

    def call_fails(self, cause: Cause = Cause.SERVER) -> None:
        self.breaker.admit().ended(advice(cause).kind, cause)
        self.fail(cause)

    def up(self) -> float:
        return {labels["provider"]: value for labels, value in self.health.up()}["sim-a"]


def test_one_failure_may_be_the_questions_fault_and_two_are_the_providers() -> None:
    f = Watched()
    assert f.up() == 1
    f.fail()
    assert f.up() == 1
    f.fail()
    f.now = 86_400
    assert (f.up(), list(f.health.consecutive_failures())) == (0, [(NAME, 2)]), "though nobody asks any more"
    f.health.answered("sim-a")
    assert f.up() == 1


@each_row("cause", sorted(LASTING))
def test_a_cause_that_no_question_brings_about_makes_it_down_at_once_until_it_answers(cause: Cause) -> None:
    f = Watched()
    f.call_fails(cause)
    f.now = 10 * REST
    standing = f.health.standing("sim-a")
    assert (standing.up, standing.cause, f.up()) == (False, cause, 0)
    assert list(f.health.refusing()) == [({**NAME, "cause": str(cause)}, 1.0)]
    assert advice(cause).do in (standing.detail or "")
    f.breaker.admit().ended(None)
    f.health.answered("sim-a")
    assert (f.up(), list(f.health.refusing())) == (1, [])


@each_row("cause", sorted(NOT_ITS_OWN))
def test_a_question_that_it_would_not_answer_does_not_make_it_down(cause: Cause) -> None:
    f = Watched()
    for _ in range(50):
        f.fail(cause)
    assert (f.up(), list(f.health.consecutive_failures())) == (1, [(NAME, 0)])


def test_a_small_model_whose_grades_cant_be_read_is_up() -> None:
    f = Watched()
    unreadable = Failure("sim-a", "m", FailureKind.BAD_ANSWER, "odd grades", 0.1, cause=Cause.UNREADABLE)
    for _ in range(9):
        f.health.failed(unreadable, "grade")
        f.health.failed(unreadable, "revise")
    assert (f.up(), list(f.health.consecutive_failures())) == (1, [(NAME, 0)])
    f.health.failed(unreadable)
    f.health.failed(unreadable)
    assert f.up() == 0, "an answer is what it is asked for"


@each_row("cause", [Cause.REJECTED, Cause.PARAMETER, Cause.RATE])
def test_rate_limits_and_refusals_that_a_question_could_bring_about_make_it_down_when_nothing_else_comes(
    cause: Cause,
) -> None:
    f = Watched()
    for _ in range(REFUSING - 1):
        f.fail(cause)
    assert (f.up(), list(f.health.refusing())) == (1, [])
    assert list(f.health.consecutive_failures()) == [(NAME, 0)], "ProviderDown waits for more"
    f.fail(cause)
    assert (f.up(), list(f.health.refusing())) == (0, [({**NAME, "cause": str(cause)}, 1.0)])


def test_a_provider_stays_down_while_its_breaker_has_not_seen_it_answer() -> None:
    f = Watched()
    for _ in range(3):
        f.call_fails()
    assert (f.breaker.state, f.up()) == ("open", 0)
    assert f.health.standing("sim-a").next_try == 600
    f.now = 601
    assert (f.breaker.state, f.up()) == ("half-open", 0)
    assert "the next question tries the provider again" in (f.health.standing("sim-a").detail or "")


def test_a_later_hiccup_does_not_hide_that_the_key_is_refused() -> None:
    f = Watched()
    f.fail(Cause.KEY)
    f.fail(Cause.SERVER)
    assert f.health.standing("sim-a").cause is Cause.KEY


@each_row("advance, state", [(0, "open"), (601, "half-open")])
def test_exactly_one_state_of_a_breaker_is_1(advance: float, state: str) -> None:
    f = Watched()
    for _ in range(3):
        f.breaker.admit().ended(FailureKind.TIMEOUT)
    f.now = advance
    assert [labels["state"] for labels, value in f.health.breaker_states() if value] == [state]
    assert len(list(f.health.breaker_states())) == 3
