"""Who has an alert says so; where nobody does, the next receivers are told. The real servers do it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import servers
import yaml
from fakes.notified import notified
from monitoring_stack import monitoring_files, spec_of
from monitoring_tools import passes
from next_lab import AFTER, Stack, watched
from rows import each_row

from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.services.alertmanager.acknowledging import (
    Claim,
    Taken,
    acknowledge,
)
from techsapo_ops.services.alertmanager.silencing import moment_text

pytestmark = pytest.mark.lab


DOWN, UP = "0+0x", "1+0x"
CASES: dict[str, tuple[str, str, bool, list[tuple[str, str]]]] = {
    # up of the app, minute by minute; when; whether AppDown fires then, and `next` and `since` of its repeats
    "just below the time": (f"{DOWN}60", "15m", True, []),
    "the first step": (f"{DOWN}60", "16m", True, [("0", "60")]),
    "both steps": (f"{DOWN}60", "46m", True, [("0", "60"), ("1", "60")]),
    "over": (f"{DOWN}29 {UP}30", "32m", False, []),
    "away for five minutes, and away now": (f"{DOWN}9 {UP}4 {DOWN}40", "13m", False, []),
    "away for five minutes": (f"{DOWN}9 {UP}4 {DOWN}40", "17m", True, [("0", "60")]),
    "away for a quarter of an hour": (f"{DOWN}9 {UP}14 {DOWN}40", "40m", True, []),
    "the next episode": (f"{DOWN}9 {UP}14 {DOWN}40", "41m", True, [("0", "1560")]),
}


def filled(annotations: dict[str, str], since: str) -> dict[str, str]:
    """As Prometheus fills them in for an episode that began at `since`."""
    moment, beginning = annotations["fires_since"], moment_text(datetime.fromtimestamp(int(since), UTC))
    assert moment in annotations["summary"]
    return {name: text.replace(moment, beginning) for name, text in annotations.items()}


def test_the_next_receivers_are_told_of_incidents_that_are_old_enough(tmp_path: Path) -> None:
    hook = [{"kind": "webhook", "url": "https://hooks.example"}]
    steps = [{"after": after, "receivers": hook} for after in ("15m", "45m")]
    files = monitoring_files(spec_of(notifications=notified({"next": steps}), locale="en"))
    texts = [files[f"prometheus/rules/{name}.yml"].content for name in ("recording", "alerts")]
    rules = [r for text in texts for g in read_yaml(text)["groups"] for r in g["rules"]]
    mine = [
        r for r in rules if r.get("record", "").startswith("techsapo:alert:") or r.get("alert") == "AppDown"
    ]
    own, *later = [r for r in mine if "alert" in r]
    del own["annotations"]["acknowledged_by"]  # it asks Prometheus, and there is none
    order = [own, *(r for r in mine if "record" in r), *later]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": order}]}))
    labels = {
        "job": "techsapo-app",
        "severity": "critical",
        "page": "true",
        "priority": "P0",
        "service": "app",
    }
    tests = []
    for name, (up, at, fires, expected) in CASES.items():
        told = [{"exp_labels": labels, "exp_annotations": own["annotations"]}] if fires else []
        told += [
            {
                "exp_labels": {**labels, "next": number, "since": since},
                "exp_annotations": filled(later[int(number)]["annotations"], since),
            }
            for number, since in expected
        ]
        series = {"series": 'up{job="techsapo-app",instance="app"}', "values": up}
        alert = {"eval_time": at, "alertname": "AppDown", "exp_alerts": told}
        tests.append({"name": name, "interval": "1m", "input_series": [series], "alert_rule_test": [alert]})
    test = {"rule_files": [str(tmp_path / "rules.yml")], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test, allow_unicode=True))
    passes("promtool", "test", "rules", tmp_path / "test.yml")


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Stack]]:
    """Three in which nothing has failed yet: they are there long before an episode of one would be over."""
    folders = [tmp_path_factory.mktemp("next") for _ in range(3)]
    with ExitStack() as everything, ThreadPoolExecutor(3) as pool:
        yield list(pool.map(lambda folder: everything.enter_context(watched(folder)), folders))


@pytest.fixture
def stack(stacks: list[Stack]) -> Stack:
    """One whose app is well between the tests."""
    return stacks[0]


@pytest.fixture
def fresh(stacks: list[Stack]) -> Stack:
    """One for one test alone."""
    return stacks[1]


@pytest.fixture
def acknowledged(stacks: list[Stack]) -> Stack:
    """One in which somebody acknowledges an episode, and in which there is another after it."""
    return stacks[2]


@each_row(
    "alert, url, said",
    [
        ("ConfigChanged", "{hook}", "ConfigChanged reached receiver info (webhook)"),
        (
            "ConfigChanged",
            "{hook}/failing",
            "not delivered: sending to webhook of receiver info failed after ",
        ),
        ("TargetDown", "{hook}/hanging", "not delivered: webhook of receiver warning has not answered"),
    ],
)
def test_a_synthetic_alert_that_nobody_took_is_not_called_delivered(
    stack: Stack, alert: str, url: str, said: str
) -> None:
    receiver = alerts()[alert].severity
    stack.told.notes.clear()
    told, hook = stack.told, stack.told.url(receiver)
    told.failing.add(f"{receiver}/failing")
    told.hanging.add(f"{receiver}/hanging")
    secret = stack.directory / f"secrets/notifications-receivers-{receiver}_0-url"
    secret.write_text(url.format(hook=hook))
    arrives = "reached" in said
    # Alertmanager gives a notification up after ten seconds here.
    within = "3" if "answered" in said else "60"
    try:
        assert said in stack.techsapo("alerts", "test", alert, "--within", within, code=int(not arrives))
    finally:
        secret.write_text(hook)
    assert not arrives or (receiver, alert) in {(n.receiver, n.alert) for n in told.notes}


def test_an_alert_that_nobody_acknowledges_reaches_the_next_receivers_in_time_and_once(stack: Stack) -> None:
    stack.told.notes.clear()
    assert "no firing alert matches alertname=AppDown" in stack.techsapo("alerts", "ack", "AppDown", code=1)
    stack.break_app()
    first = next(n.at for n in stack.told.notes if n.receiver == "critical")
    stack.gets("next-1")
    came = {n.receiver: n.at - first for n in stack.told.notes if n.alert == "AppDown"}
    assert AFTER - 2 <= came["next-0"] <= AFTER + 5
    assert 2 * AFTER - 2 <= came["next-1"] <= 2 * AFTER + 5
    stack.heal_app()
    for receiver in ("critical", "next-0", "next-1"):
        stack.gets(receiver, "resolved")
        assert stack.notes(receiver) == 1
    label = next(n.labels for n in stack.told.notes if n.receiver == "next-0")
    assert (label["next"], label["severity"], label["priority"]) == ("0", "critical", "P0")


def test_what_somebody_has_reaches_nobody_else_also_after_a_pause_and_restarts_until_it_is_given_back(
    fresh: Stack,
) -> None:
    stack = fresh
    stack.break_app()
    wanted = stack.episodes()
    until = datetime.now(UTC) + timedelta(hours=1)

    def take(name: str) -> str | None:
        try:
            return acknowledge(stack.alertmanager, wanted, Claim(name, until))[0].by
        except Taken:
            return None

    names = [f"person {n}" for n in range(6)]
    with ThreadPoolExecutor(len(names)) as pool:
        had = [name for name in pool.map(take, names) if name is not None]
    assert had == stack.holders()
    assert len(had) == 1, "of several people at once one has it"
    assert f"{had[0]} acknowledged AppDown" in stack.techsapo(
        "alerts", "ack", "AppDown", "--by", "hanako", code=1
    )
    assert "hanako has acknowledged AppDown" in stack.techsapo(
        "alerts", "ack", "AppDown", "--by", "hanako", "-c", "restarting it", "--take-over"
    )
    listed = json.loads(stack.techsapo("alerts", "ack", "--list", "--json"))["acknowledgements"]
    assert [(a["alert"], a["by"], a["comment"]) for a in listed] == [("AppDown", "hanako", "restarting it")]

    stack.heal_app()
    stack.gets("critical", "resolved")
    stack.break_app()
    stack.start("alertmanager")
    stack.start("prometheus")
    servers.wait_for(lambda: stack.held_from("0") and stack.held_from("1"), what="the turn of both receivers")
    assert stack.holders() == ["hanako"], "the same episode"
    assert (stack.notes("next-0"), stack.notes("next-1")) == (0, 0)

    assert "(it was by hanako)" in stack.techsapo("alerts", "ack", "AppDown", "--undo")
    stack.gets("next-0")
    held = [a for a in stack.alertmanager.alerts() if a.labels["alertname"] == "AppDown"]
    for alert in held:
        if "next" in alert.labels:
            began = alert.annotations["fires_since"]
            assert began == moment_text(datetime.fromtimestamp(int(alert.labels["since"]), UTC))
            assert (
                f"Nobody had it when this was sent on; it began at {began}: " in alert.annotations["summary"]
            )
    assert "nobody has" in stack.techsapo("alerts", "ack", "AppDown", "--undo", code=1)


def test_who_was_told_before_somebody_acknowledged_hears_when_it_is_over_and_nobody_else_does(
    acknowledged: Stack,
) -> None:
    stack = acknowledged
    stack.break_app()
    stack.gets("next-0")
    stack.techsapo("alerts", "ack", "AppDown", "--by", "hanako")
    servers.wait_for(lambda: stack.held_from("1"), what="the turn of the one after the next")
    (episode,) = stack.episodes()
    stack.heal_app()

    def told(status: str) -> set[str]:
        """Who of the next receivers; a message may hold the end of an episode of before."""
        return {
            n.receiver
            for n in stack.told.notes
            if n.status == status and n.labels.get("since") == episode.since
        }

    servers.wait_for(lambda: bool(told("resolved")), timeout=60, what="a message that it is over")
    assert (told("firing"), told("resolved")) == ({"next-0"}, {"next-0"})


@pytest.mark.nightly
def test_the_next_incident_needs_another_and_a_silence_keeps_the_next_receivers_quiet_too(
    acknowledged: Stack,
) -> None:
    stack = acknowledged
    stack.break_app()
    stack.techsapo("alerts", "ack", "AppDown", "--by", "taro", "--take-over")
    stack.over()
    assert json.loads(stack.techsapo("alerts", "ack", "--list", "--json"))["acknowledgements"] == []
    stack.told.notes.clear()
    stack.techsapo("alerts", "silence", "AppDown", "--for", "1h", "-c", "maintenance")
    stack.app.metrics = None
    servers.wait_for(lambda: stack.held_from("0") and stack.held_from("1"), what="the turn of both receivers")
    assert (stack.holders(), stack.told.notes) == ([], [])
