"""Who has an alert says so; where nobody does, the next receivers are told. The real servers do it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import servers
import yaml
from monitoring_stack import monitoring_files, spec_of
from next_lab import AFTER, Stack, watched
from rows import each_row

from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.services.alertmanager.acknowledging import (
    Claim,
    Taken,
    acknowledge,
)
from techsapo_ops.services.alertmanager.beginnings import moment_text

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
    "the next incident": (f"{DOWN}9 {UP}14 {DOWN}40", "41m", True, [("0", "1560")]),
}


def filled(annotations: dict[str, str], since: str) -> dict[str, str]:
    """As Prometheus fills them in for an incident that began at `since`."""
    moment, beginning = annotations["fires_since"], moment_text(datetime.fromtimestamp(int(since), UTC))
    assert moment in annotations["summary"]
    return {name: text.replace(moment, beginning) for name, text in annotations.items()}


@each_row("name", CASES)
def test_the_next_receivers_are_told_of_incidents_that_are_old_enough(name: str, tmp_path: Path) -> None:
    up, at, fires, expected = CASES[name]
    hook = [{"kind": "webhook", "url": "https://hooks.example"}]
    steps = [{"after": after, "receivers": hook} for after in ("15m", "45m")]
    files = monitoring_files(spec_of(notifications={"next": steps}, locale="en"))
    texts = [files[f"prometheus/rules/{name}.yml"].content for name in ("recording", "alerts")]
    rules = [r for text in texts for g in yaml.safe_load(text)["groups"] for r in g["rules"]]
    mine = [
        r for r in rules if r.get("record", "").startswith("techsapo:alert:") or r.get("alert") == "AppDown"
    ]
    own, *later = [r for r in mine if "alert" in r]
    del own["annotations"]["acknowledged_by"]  # it asks Prometheus, and there is none
    order = [own, *(r for r in mine if "record" in r), *later]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": order}]}))
    labels = {"job": "techsapo-app", "severity": "critical", "priority": "P0", "service": "app"}
    told = [{"exp_labels": labels, "exp_annotations": own["annotations"]}] if fires else []
    told += [
        {
            "exp_labels": {**labels, "next": number, "since": since},
            "exp_annotations": filled(later[int(number)]["annotations"], since),
        }
        for number, since in expected
    ]
    test = {
        "rule_files": [str(tmp_path / "rules.yml")], "evaluation_interval": "1m",
        "tests": [{
            "interval": "1m",
            "input_series": [{"series": 'up{job="techsapo-app",instance="app"}', "values": up}],
            "alert_rule_test": [{"eval_time": at, "alertname": "AppDown", "exp_alerts": told}],
        }],
    }  # fmt: skip
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test, allow_unicode=True))
    done = subprocess.run(
        [servers.binary("promtool"), "test", "rules", tmp_path / "test.yml"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """One of its own: until an incident of the test before is over takes five times as long."""
    with watched(tmp_path) as stack:
        yield stack


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One whose app is well all the time."""
    with watched(tmp_path_factory.mktemp("next")) as stack:
        yield stack


def test_an_alert_that_nobody_acknowledges_reaches_the_next_receivers_in_time_and_once(stack: Stack) -> None:
    stack.break_app()
    first = next(n.at for n in stack.told.notes if n.receiver == "critical")
    stack.gets("next-1")
    came = {n.receiver: n.at - first for n in stack.told.notes}
    assert AFTER - 2 <= came["next-0"] <= AFTER + 5
    assert 2 * AFTER - 2 <= came["next-1"] <= 2 * AFTER + 5
    stack.passes(4)
    stack.heal_app()
    for receiver in ("critical", "next-0", "next-1"):
        stack.gets(receiver, "resolved")
        assert stack.notes(receiver) == 1
    label = next(n.labels for n in stack.told.notes if n.receiver == "next-0")
    assert (label["next"], label["severity"], label["priority"]) == ("0", "critical", "P0")


def test_what_somebody_acknowledged_reaches_nobody_else_and_the_next_incident_needs_another(
    stack: Stack,
) -> None:
    stack.break_app()
    said = stack.techsapo("alerts", "ack", "AppDown", "--by", "hanako", "-c", "restarting it")
    assert "hanako has AppDown" in said
    stack.passes(2 * AFTER + 4)
    assert (stack.notes("next-0"), stack.notes("next-1")) == (0, 0)
    listed = json.loads(stack.techsapo("alerts", "ack", "--list", "--json"))["acknowledgements"]
    assert [(a["alert"], a["by"], a["comment"]) for a in listed] == [("AppDown", "hanako", "restarting it")]
    stack.over()
    assert json.loads(stack.techsapo("alerts", "ack", "--list", "--json"))["acknowledgements"] == []
    stack.break_app()
    stack.gets("next-0")


def test_who_was_told_before_somebody_acknowledged_hears_when_it_is_over_and_nobody_else_does(
    stack: Stack,
) -> None:
    stack.break_app()
    stack.gets("next-0")
    stack.techsapo("alerts", "ack", "AppDown", "--by", "hanako")
    stack.techsapo("alerts", "ack", "AppDown", "--by", "taro", "--take-over")
    assert stack.holders() == ["taro"]
    (incident,) = stack.incidents()
    stack.passes(AFTER + 4)
    stack.heal_app()

    def told(status: str) -> set[str]:
        """Who of the next receivers; a message may hold the end of an incident of before."""
        return {
            n.receiver
            for n in stack.told.notes
            if n.status == status and n.labels.get("since") == incident.since
        }

    servers.wait_for(lambda: bool(told("resolved")), timeout=60, what="a message that it is over")
    assert (told("firing"), told("resolved")) == ({"next-0"}, {"next-0"})


def test_an_alert_that_is_away_for_a_moment_is_the_same_incident(stack: Stack) -> None:
    stack.break_app()
    stack.techsapo("alerts", "ack", "AppDown", "--by", "hanako")
    stack.heal_app()
    stack.gets("critical", "resolved")
    stack.break_app()
    stack.passes(2 * AFTER + 4)
    assert stack.notes("next-0") == 0


def test_an_acknowledgement_survives_restarts_of_both_servers(stack: Stack) -> None:
    stack.break_app()
    stack.techsapo("alerts", "ack", "AppDown", "--by", "hanako")
    stack.start("alertmanager")
    stack.start("prometheus")
    assert stack.holders() == ["hanako"]
    stack.passes(2 * AFTER + 4)
    assert stack.notes("next-0") == 0


def test_who_gives_it_back_leaves_it_to_the_next_receivers(stack: Stack) -> None:
    stack.break_app()
    stack.techsapo("alerts", "ack", "AppDown", "--by", "hanako")
    stack.passes(AFTER + 4)
    assert stack.notes("next-0") == 0
    assert "hanako had it" in stack.techsapo("alerts", "ack", "AppDown", "--undo")
    stack.gets("next-0")
    held = [a for a in stack.alertmanager.alerts() if a.labels["alertname"] == "AppDown"]
    (began,) = {moment_text(a.starts_at) for a in held if "next" not in a.labels}
    for alert in held:
        if "next" in alert.labels:
            assert alert.annotations["fires_since"] == began
            assert (
                f"Nobody had it when this was sent on; it began at {began}: " in alert.annotations["summary"]
            )
    assert "nobody has" in stack.techsapo("alerts", "ack", "AppDown", "--undo", code=1)


def test_a_silence_of_the_alert_keeps_the_next_receivers_quiet_too(stack: Stack) -> None:
    stack.techsapo("alerts", "silence", "AppDown", "--for", "1h", "-c", "maintenance")
    stack.app.metrics = None
    stack.passes(2 * AFTER + 4)
    assert stack.told.notes == []
    for silence in stack.alertmanager.silences():
        if silence.state == "active":
            stack.alertmanager.expire(silence.id)


def test_an_alert_that_does_not_fire_or_that_another_has_can_not_be_acknowledged(stack: Stack) -> None:
    assert "AppDown does not fire" in stack.techsapo("alerts", "ack", "AppDown", code=1)
    stack.break_app()
    assert "instance=app-9 does not fire" in stack.techsapo(
        "alerts", "ack", "AppDown", "-m", "instance=app-9", code=1
    )
    stack.techsapo("alerts", "ack", "AppDown", "--by", "hanako")
    assert "hanako has AppDown" in stack.techsapo("alerts", "ack", "AppDown", "--by", "taro", code=1)
    stack.techsapo("alerts", "ack", "AppDown", "--by", "taro", "--take-over")
    assert stack.holders() == ["taro"]


def test_of_two_people_at_once_one_has_it(stack: Stack) -> None:
    stack.break_app()
    wanted = stack.incidents()
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
    assert len(had) == 1


@each_row(
    "alert, url, said",
    [
        ("ConfigChanged", "{hook}", "ConfigChanged reached info (webhook)"),
        ("ConfigChanged", "{hook}/failing", "not delivered: webhook of receiver info failed, "),
        ("ConfigChanged", "http://127.0.0.1:9/x", "not delivered: webhook of receiver info failed, "),
        ("ConfigChanged", "no address", "not delivered: webhook of receiver info failed, "),
        (
            "TargetDown",
            "{hook}/hanging",
            "not delivered: webhook of receiver warning has not answered",
        ),
    ],
)
def test_a_synthetic_alert_that_nobody_took_is_not_called_delivered(
    quiet: Stack, alert: str, url: str, said: str
) -> None:
    stack, receiver = quiet, alerts()[alert].severity
    stack.told.notes.clear()
    told, hook = stack.told, stack.told.url(receiver)
    told.failing.add(f"{receiver}/failing")
    told.hanging.add(f"{receiver}/hanging")
    secret = stack.directory / f"secrets/notifications-{receiver}-0-url"
    secret.write_text(url.format(hook=hook))
    arrives = "reached" in said
    # Alertmanager gives a notification up after ten seconds here.
    within = "6" if "answered" in said else "60"
    try:
        assert said in stack.techsapo("alerts", "test", alert, "--within", within, code=int(not arrives))
    finally:
        secret.write_text(hook)
    # What failed is tried again, and arrives now that the address is right.
    assert not arrives or (receiver, alert) in {(n.receiver, n.alert) for n in told.notes}
