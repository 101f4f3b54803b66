"""What alerts make of incidents: opened, joined, ended, found again."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rows import each_row

from techsapo_ops.incidents.alert import Listener, ReportedAlert
from techsapo_ops.incidents.incident import GAP, SILENT, earlier, over, subject_of, updated
from techsapo_ops.stores.incidents.rows import (
    MOST_ALERTS,
    MOST_OPEN,
    Change,
    Entry,
    Incident,
    IncidentAlert,
    State,
)

NOON = datetime(2026, 12, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def minutes(count: float) -> datetime:
    return NOON + timedelta(minutes=count)


def alert(name: str, at: float = 0.0, until: float | None = None, **labels: str) -> ReportedAlert:
    ended = None if until is None else minutes(until)
    return told({"alertname": name, **labels}, at, ended)


def told(labels: dict[str, str], at: float = 0.0, ended: datetime | None = None) -> ReportedAlert:
    return Listener().reported(labels, {}, minutes(at), ended, "")


class World:
    """Incidents as a store would have them."""

    def __init__(self) -> None:
        self.incidents: dict[int, Incident] = {}
        self.alerts: dict[tuple[int, str], IncidentAlert] = {}
        self.said: list[tuple[int, Entry]] = []
        self.left_out = 0

    @property
    def state(self) -> State:
        return State(
            tuple(self.incidents.values()), tuple(self.alerts.values()), max(self.incidents, default=0)
        )

    def keep(self, changes: tuple[Change, ...]) -> list[int]:
        for change in changes:
            number = change.incident.number
            self.incidents[number] = change.incident
            self.alerts |= {(number, a.fingerprint): a for a in change.alerts}
            self.said += [(number, entry) for entry in change.entries]
        return [change.incident.number for change in changes]

    def report(self, *alerts: ReportedAlert, at: float = 0.0, start: bool = True) -> list[int]:
        changes, self.left_out = updated(self.state, alerts, minutes(at), HOUR, lambda a: start and a.pages)
        return self.keep(changes)

    def look(self, at: float) -> list[int]:
        return self.keep(over(self.state, minutes(at)))

    @property
    def started(self) -> list[int]:
        return [i.number for i in self.incidents.values() if i.investigation == "due"]

    def kinds(self, number: int) -> list[str]:
        return [entry.kind for n, entry in self.said if n == number]


def test_alerts_that_begin_within_five_minutes_and_share_a_service_or_a_host_are_one_incident() -> None:
    world = World()
    world.report(alert("Slow", service="shop", host="a"))
    world.report(alert("Full", at=4, service="db", host="a"), at=4)
    world.report(alert("Down", at=5, service="db", instance="b:9100"), at=5)
    assert list(world.incidents) == [1]
    assert world.incidents[1].subjects == {"service:shop", "service:db", "host:a", "host:b"}
    assert (world.incidents[1].alerts, world.incidents[1].firing) == (3, 3)
    assert world.kinds(1) == ["opened", "joined", "joined"]


@each_row(
    "at, labels",
    [(6, {"service": "shop"}), (-6, {"service": "shop"}), (0, {"service": "mail"}), (0, {"host": "shop"})],
)
def test_an_alert_of_another_time_or_about_something_else_is_another_incident(
    at: float, labels: dict[str, str]
) -> None:
    world = World()
    world.report(alert("Slow", service="shop"))
    assert world.report(told({"alertname": "Other", **labels}, at), at=7) == [2]


def test_alerts_of_one_group_are_one_incident_whatever_they_are_about() -> None:
    listener = Listener(group="{}:{alertname='Full'}")
    names = ({"alertname": "Full", "host": f"h{n}"} for n in range(500))
    alerts = [listener.reported(labels, {}, NOON, None, "") for labels in names]
    world = World()
    world.report(*alerts)
    assert [(i.number, i.alerts, i.firing) for i in world.incidents.values()] == [(1, 500, 500)]
    assert json.loads(world.said[0][1].text) == {"count": 1, "alerts": {"Full": 1}}
    assert json.loads(world.said[1][1].text) == {"count": 499, "alerts": {"Full": 499}}


def test_an_incident_ends_when_its_last_alert_has_been_over_for_ten_minutes() -> None:
    world = World()
    world.report(alert("Slow", service="shop"), alert("Full", service="shop"))
    world.report(alert("Slow", until=3, service="shop"), at=3)
    assert world.look(60) == []
    world.report(alert("Full", until=60, service="shop"), at=60)
    assert world.look(69.9) == []
    assert world.look(70) == [1]
    assert world.incidents[1].ended == minutes(60)
    assert world.kinds(1) == ["opened", "joined", "ended", "ended", "closed"]


def test_a_gap_of_less_than_ten_minutes_does_not_end_it_nor_is_it_told() -> None:
    world = World()
    world.report(alert("Slow", service="shop"))
    world.report(alert("Slow", until=3, service="shop"), at=3)
    world.report(alert("Slow", at=12, service="shop"), at=12)
    assert world.look(40) == []
    assert world.kinds(1) == ["opened", "ended"]
    assert world.incidents[1].firing == 1


def test_an_alert_that_returns_within_the_cooldown_opens_its_incident_again_without_another_start() -> None:
    world = World()
    world.report(alert("Slow", service="shop", page="true"))
    assert world.started == [1]
    world.incidents[1] = replace(world.incidents[1], investigation="done")
    world.report(alert("Slow", until=3, service="shop", page="true"), at=3)
    world.look(13)
    assert world.report(alert("Slow", at=40, service="shop", page="true"), at=40) == [1]
    assert world.incidents[1].ended is None
    assert world.kinds(1) == ["opened", "ended", "closed", "returned"]
    assert world.started == []


def test_an_alert_that_returns_after_the_cooldown_is_a_new_incident() -> None:
    world = World()
    world.report(alert("Slow", service="shop", page="true"))
    world.report(alert("Slow", until=3, service="shop", page="true"), at=3)
    world.look(13)
    assert world.report(alert("Slow", at=64, service="shop", page="true"), at=64) == [2]
    assert world.incidents[2].investigation == "due"


def test_what_overtakes_or_repeats_another_message_changes_nothing() -> None:
    world = World()
    world.report(alert("Slow", service="shop"))
    world.report(alert("Slow", service="shop"), at=60)
    world.report(alert("Slow", until=61, service="shop"), at=61)
    for late in (alert("Slow", service="shop"), alert("Slow", until=61, service="shop")):
        assert world.report(late, at=62) == []
    world.report(alert("Slow", at=65, service="shop"), at=65)
    world.report(alert("Slow", until=61, service="shop"), at=66)
    assert world.incidents[1].firing == 1
    assert world.kinds(1) == ["opened", "ended"]


def test_the_end_of_an_alert_that_nobody_knows_of_opens_nothing() -> None:
    world = World()
    assert world.report(alert("Slow", until=3, service="shop"), at=3) == []


@each_row(
    "labels",
    [
        {"alertname": "Watchdog"}, {"alertname": "WeeklyReport"}, {"alertname": "X", "drill": "true"},
        {"alertname": "X", "techsapo_test": "1"}, {"alertname": "X", "next": "0"}, {"service": "shop"},
    ],
)  # fmt: skip
def test_signs_of_life_reports_tests_drills_and_repeats_open_nothing(
    labels: dict[str, str],
) -> None:
    world = World()
    assert world.report(told(labels)) == []


def test_what_a_person_ended_stays_ended_while_its_alerts_still_fire() -> None:
    world = World()
    world.report(alert("Slow", service="shop", page="true"), start=False)
    world.incidents[1] = replace(world.incidents[1], ended=minutes(5), cause="a bad deploy")
    world.report(alert("Slow", service="shop", page="true"), at=300)
    assert list(world.incidents) == [1]
    assert world.incidents[1].ended == minutes(5)
    assert world.incidents[1].investigation == ""


def test_an_alert_that_nobody_tells_of_for_a_day_is_over() -> None:
    world = World()
    world.report(alert("Slow", service="shop"))
    day = SILENT / timedelta(minutes=1)
    assert world.look(day - 1) == []
    assert world.look(day) == [1]
    assert world.incidents[1].ended == NOON


def test_alerts_beyond_the_bound_of_an_incident_are_left_out_however_often_they_are_told() -> None:
    world = World()
    alerts = [alert("Slow", service="shop", pod=str(n)) for n in range(MOST_ALERTS + 5)]
    for at in (0, 5, 240):
        world.report(*alerts, at=at)
        assert world.left_out == 5
        assert world.incidents[1].alerts == world.incidents[1].firing == len(world.alerts) == MOST_ALERTS
    assert world.kinds(1) == ["opened", "joined"]
    assert json.loads(world.said[1][1].text) == {
        "count": MOST_ALERTS - 1, "alerts": {"Slow": MOST_ALERTS - 1}, "truncated": 5,
    }  # fmt: skip
    assert world.started == []
    paging = alert("Down", service="shop", page="true")
    assert world.report(paging, at=4) == world.started == [1]


def test_an_incident_too_many_is_left_out_and_the_other_alerts_of_its_message_are_not() -> None:
    world = World()
    world.report(alert("Slow", service="shop"))
    world.incidents |= {n: replace(world.incidents[1], number=n) for n in range(2, MOST_OPEN)}
    posted = (alert("Down", service="a"), alert("Down", service="b"), alert("Slow", service="shop", pod="x"))
    assert world.report(*posted) == [MOST_OPEN, 1]
    assert world.left_out == 1
    world.incidents[3] = replace(world.incidents[3], ended=NOON)
    assert world.report(*posted, at=1) == [MOST_OPEN, MOST_OPEN + 1, 1]


def test_an_investigation_is_about_the_first_alert_that_pages_and_all_services_and_hosts() -> None:
    source = "http://prometheus:9090/graph?g0.expr=rate%28errors%5B5m%5D%29+%3E+1&g0.tab=1"
    listener = Listener({"shop": {"job": "web"}})
    world = World()
    world.report(
        listener.reported({"alertname": "Slow", "job": "web", "host": "a"}, {}, NOON, None, ""),
        listener.reported(
            {"alertname": "Errors", "job": "web", "instance": "https://b.example:8443/x", "page": "true"},
            {"summary": "the shop\x1b[2J\nanswers 500"}, minutes(1), None, source,
        ),
    )  # fmt: skip
    subject = subject_of(world.incidents[1], list(world.alerts.values()), listener.watched)
    assert (subject.alert, subject.expression) == ("Errors", "rate(errors[5m]) > 1")
    assert subject.summary == "the shop\N{REPLACEMENT CHARACTER}[2J answers 500"
    assert [set(subject.services), set(subject.hosts)] == [{"shop"}, {"a", "b.example"}]
    assert subject.began == NOON


def test_hostile_labels_are_bounded_and_share_no_more_than_they_say() -> None:
    labels = {f"l{n}": "x" * 10_000 for n in range(500)}
    hostile = Listener().reported(
        {"alertname": "A\ud800\u202e", "instance": "http://[", **labels}, {"summary": "y" * 10_000}, NOON,
        None, "http://[?g0.expr=1",
    )  # fmt: skip
    assert len(hostile.labels) == 64
    assert max(map(len, hostile.labels.values())) == 500
    assert len(hostile.summary) == 1000
    assert hostile.subjects == {"alert:A\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"}
    assert len(hostile.fingerprint) == 32


def test_like_incidents_are_those_about_the_same_whose_cause_a_person_named() -> None:
    def ended(number: int, title: str, cause: str | None, *subjects: str) -> Incident:
        return Incident(number, minutes(number), title, False, frozenset(subjects), cause=cause)

    now = ended(9, "slow", None, "service:shop", "host:a")
    others = [
        ended(1, "slow", "disk", "service:shop", "host:a"), ended(2, "slow", None, "service:shop"),
        ended(3, "full", "logs", "service:mail"), ended(4, "full", "a deploy", "service:shop"),
        ended(5, "full", "dns", "service:shop"),
    ]  # fmt: skip
    assert [(e.id, e.cause) for e in earlier(now, others)] == [("1", "disk"), ("5", "dns"), ("4", "a deploy")]
    assert GAP < HOUR
