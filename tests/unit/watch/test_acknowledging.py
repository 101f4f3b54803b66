"""Who has an alert, as silences say it: which count, who is first, and what is taken back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from fakes.alertmanager import FakeAlertmanager, gone
from rows import each_row

from techsapo_ops.adapters.alertmanager import Matcher
from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.services.alertmanager.acknowledging import (
    Claim,
    Episode,
    NotStored,
    Taken,
    acknowledge,
    acknowledgements,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
UNTIL = NOW + timedelta(hours=8)
ANY_NEXT = Matcher("next", "=~", ".+")


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> FakeAlertmanager:
    return FakeAlertmanager(lambda: clock.now)


def episode(name: str = "AppDown", since: str = "1767322800", **more: str) -> Episode:
    return Episode(
        {"alertname": name, "severity": "critical", "priority": "P0", "service": "app"} | more, since
    )


ONE, OTHER = episode(instance="app-1"), episode(instance="app-2")


def claim(by: str, comment: str = "", *, take_over: bool = False) -> Claim:
    return Claim(by, UNTIL, comment, take_over)


def silenced(
    server: FakeAlertmanager, clock: Clock, what: Episode, by: str, *more: Matcher, since: bool = True
) -> str:
    matchers = [Matcher(name, "=", value) for name, value in what.labels.items()]
    matchers += [Matcher("since", "=", what.since)] if since else []
    return server.silence([*matchers, *more], clock(), UNTIL, by, "on it")


def once(server: FakeAlertmanager, request: str, count: int, work: Callable[[], object]) -> None:
    """Let `work` happen right before the `count`th request of that kind."""
    seen = []

    def before(asked: str) -> None:
        seen.append(asked)
        if asked == request and seen.count(request) == count:
            server.before = lambda _: None
            work()

    server.before = before


def holds(server: FakeAlertmanager) -> list[tuple[str, str]]:
    return [(a.by, str(a.episode)) for a in acknowledgements(server)]


def test_a_silence_of_one_incident_for_the_next_receivers_counts_and_no_other(
    server: FakeAlertmanager, clock: Clock
) -> None:
    assert silenced(server, clock, ONE, "a name")  # of the alert itself, so nobody took it over
    assert silenced(server, clock, ONE, "a step", Matcher("next", "=", "0"))
    assert silenced(server, clock, ONE, "any time", ANY_NEXT, since=False)
    assert holds(server) == []
    server.expire(silenced(server, clock, ONE, "an ended one", ANY_NEXT))
    silenced(server, clock, ONE, "hanako", ANY_NEXT)
    assert holds(server) == [("hanako", "AppDown (instance=app-1)")]
    clock.now = UNTIL
    assert holds(server) == []


def test_of_two_at_once_the_first_has_it_and_the_late_one_takes_its_own_back(
    server: FakeAlertmanager, clock: Clock
) -> None:
    once(server, "silence", 1, lambda: acknowledge(server, [ONE], claim("hanako"), clock))
    with pytest.raises(Taken, match="hanako acknowledged AppDown"):
        acknowledge(server, [ONE], claim("taro"), clock)
    assert [s.created_by for s in server.active] == ["hanako"]


def test_of_two_at_once_the_late_one_gets_what_the_first_did_not_take(
    server: FakeAlertmanager, clock: Clock
) -> None:
    once(server, "silence", 1, lambda: acknowledge(server, [ONE], claim("hanako"), clock))
    made = acknowledge(server, [ONE, OTHER], claim("taro"), clock)
    assert [(a.by, a.episode) for a in made] == [("taro", OTHER)]
    assert {(s.created_by, str(s.matchers[1])) for s in server.active} == {
        ("hanako", "instance=app-1"), ("taro", "instance=app-2"),
    }  # fmt: skip


def test_who_is_first_keeps_it_though_another_comes_in_the_same_moment(
    server: FakeAlertmanager, clock: Clock
) -> None:
    once(server, "silences", 2, lambda: silenced(server, clock, ONE, "taro", ANY_NEXT))
    (made,) = acknowledge(server, [ONE], claim("hanako"), clock)
    assert (made.by, holds(server)[0][0]) == ("hanako", "hanako")


def test_what_another_has_is_taken_over_by_saying_so_alone(server: FakeAlertmanager, clock: Clock) -> None:
    acknowledge(server, [ONE], claim("hanako"), clock)
    with pytest.raises(Taken):
        acknowledge(server, [OTHER, ONE], claim("taro"), clock)
    assert holds(server) == [("hanako", str(ONE))]
    acknowledge(server, [OTHER, ONE], claim("taro", take_over=True), clock)
    assert holds(server) == [("taro", str(OTHER)), ("taro", str(ONE))]


def test_an_acknowledgement_of_ones_own_is_renewed_and_those_of_incidents_before_end(
    server: FakeAlertmanager, clock: Clock
) -> None:
    silenced(server, clock, episode(since="1700000000", instance="app-1"), "jiro", ANY_NEXT)
    silenced(server, clock, OTHER, "saburo", ANY_NEXT)
    acknowledge(server, [ONE], claim("hanako", "looking"), clock)
    acknowledge(server, [ONE], claim("hanako", "found it"), clock)
    assert [(s.created_by, s.comment) for s in server.active] == [("saburo", "on it"), ("hanako", "found it")]


def test_what_alertmanager_does_not_keep_is_an_error_and_leaves_nothing_behind(
    server: FakeAlertmanager, clock: Clock
) -> None:
    acknowledge(server, [ONE], claim("hanako"), clock)
    set_back = lambda: clock.now - timedelta(minutes=5)  # noqa: E731
    once(server, "silences", 2, lambda: setattr(server, "clock", set_back))  # what began now is pending
    with pytest.raises(NotStored):
        acknowledge(server, [OTHER], claim("taro"), clock)
    server.clock = lambda: clock.now
    assert [s.created_by for s in server.active] == ["hanako"]


def test_what_is_given_back_in_between_is_not_told_as_acknowledged(
    server: FakeAlertmanager, clock: Clock
) -> None:
    once(server, "silences", 2, lambda: server.expire("silence-0"))
    assert [a.episode for a in acknowledge(server, [ONE, OTHER], claim("hanako"), clock)] == [OTHER]


@each_row("request_, count", [("silence", 2), ("silences", 2), ("expire", 1)])
def test_after_a_server_that_went_away_half_way_once_more_does_no_harm(request_: str, count: int) -> None:
    clock = Clock()
    server = FakeAlertmanager(lambda: clock.now)
    acknowledge(server, [ONE], claim("hanako"), clock)
    once(server, request_, count, lambda: gone(""))
    with pytest.raises(Unreachable):
        acknowledge(server, [ONE, OTHER], claim("hanako"), clock)
    server.before = lambda _: None
    assert len(acknowledge(server, [ONE, OTHER], claim("hanako"), clock)) == 2
