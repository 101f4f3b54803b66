from __future__ import annotations

import pytest

from techsapo_ops.serve.provider_health import FORGOTTEN, ProviderHealth
from techsapo_ops.spec.models.providers import SimulatedProvider
from techsapo_ops.wallbounce.breaker import Breaker
from techsapo_ops.wallbounce.failures import FailureKind
from techsapo_ops.wallbounce.providers.simulated import Simulated

NAME = {"provider": "sim-a"}


class Fixture:
    def __init__(self) -> None:
        self.now = 0.0
        provider = Simulated("sim-a", SimulatedProvider(kind="simulated"))
        self.breaker = Breaker("sim-a", "m", failures=3, cooldown=600, clock=lambda: self.now)
        self.health = ProviderHealth([provider], clock=lambda: self.now)
        self.health.watch([self.breaker])

    def fail(self, kind: FailureKind = FailureKind.UNAVAILABLE) -> None:
        self.health.failed("sim-a", kind)

    def up(self) -> float:
        return {labels["provider"]: value for labels, value in self.health.up()}["sim-a"]


def test_one_failure_may_be_the_questions_fault_and_two_are_the_providers() -> None:
    f = Fixture()
    assert f.up() == 1
    f.fail()
    assert f.up() == 1
    f.fail()
    assert f.up() == 0
    assert list(f.health.consecutive_failures()) == [(NAME, 2)]
    f.health.answered("sim-a")
    assert f.up() == 1


def test_a_call_that_the_provider_would_not_answer_does_not_make_it_down() -> None:
    f = Fixture()
    for _ in range(5):
        f.fail(FailureKind.REFUSED)
    assert f.up() == 1


def test_a_provider_that_nobody_asks_any_more_is_not_down_for_ever() -> None:
    f = Fixture()
    f.fail()
    f.fail()
    f.now = FORGOTTEN + 1
    assert f.up() == 1


def test_a_provider_stays_down_while_its_breaker_keeps_questions_from_it() -> None:
    f = Fixture()
    for _ in range(3):
        f.fail()
        f.breaker.admit().ended(FailureKind.UNAVAILABLE)
    f.now = FORGOTTEN + 1
    assert f.breaker.state == "open"
    assert f.up() == 0
    assert list(f.health.consecutive_failures()) == [(NAME, 3)]


@pytest.mark.parametrize(("advance", "state"), [(0, "open"), (601, "half-open")])
def test_exactly_one_state_of_a_breaker_is_1(advance: float, state: str) -> None:
    f = Fixture()
    for _ in range(3):
        f.breaker.admit().ended(FailureKind.TIMEOUT)
    f.now = advance
    assert [labels["state"] for labels, value in f.health.breaker_states() if value] == [state]
    assert len(list(f.health.breaker_states())) == 3
