"""Which state `alerts list` shows, and when `alerts test` says that a notification arrived."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace
from datetime import UTC, datetime
from operator import add
from pathlib import Path
from typing import Any

import pytest
from fakes.open_stacks import open_stack
from monitoring_stack import spec_of, topology_of
from rows import each_row

from techsapo_ops.adapters.alertmanager import Alert, Alertmanager, AlertmanagerStatus, Sent
from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.monitoring_server import ApiError
from techsapo_ops.adapters.prometheus import Firing
from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.stack import Stack
from techsapo_ops.watch.alerts.delivery import Delivery, try_out
from techsapo_ops.watch.alerts.firing import Listed, listed


def test_an_alert_about_a_server_that_the_stack_does_not_run_is_off_and_not_quiet(stack: Stack) -> None:
    found = listed(stack, None, None).alerts  # one app without nginx, and no MySQL
    states = {f.alert.name: f.state for f in found}
    assert set(states) == {name for name, alert in alerts().items() if not alert.machines}
    assert [states[n] for n in ("NginxDown", "MysqlDown", "RedisDown", "TargetDown")] == [
        "off", "off", "unknown", "unknown",
    ]  # fmt: skip


class Servers:
    """Prometheus and Alertmanager: the alerts that one has, and those that the other one was sent."""

    def __init__(self, alerts: object) -> None:
        self._alerts = alerts

    def alerts(self) -> object:
        if isinstance(self._alerts, Exception):
            raise self._alerts
        return self._alerts

    def silences(self) -> tuple[()]:
        return ()


def seen(stack: Stack, waiting: object, sent: object) -> dict[str, Listed]:
    return {f.alert.name: f for f in listed(stack, Servers(waiting), Servers(sent)).alerts}


def test_what_alertmanager_holds_back_is_silenced(stack: Stack) -> None:
    labels, now = {"alertname": "AppDown", "severity": "critical"}, datetime.now(UTC)
    sent = Alert(labels, {}, "suppressed", True, ("critical",), now)
    assert seen(stack, (Firing(labels, {}, "firing", now),), (sent,))["AppDown"].state == "silenced"


def test_what_fires_began_when_its_messages_say_and_what_is_pending_when_its_condition_did(
    tmp_path: Path,
) -> None:
    condition, fired = datetime(2026, 1, 2, 3, 4, tzinfo=UTC), datetime(2026, 1, 2, 3, 5, tzinfo=UTC)
    labels = {name: {"alertname": name, "severity": "critical"} for name in ("AppDown", "NginxDown")}
    states = {"AppDown": "firing", "NginxDown": "pending"}
    waiting = tuple(Firing(labels[name], {}, state, condition) for name, state in states.items())
    # Alertmanager still has the one before of what is pending now.
    sent = tuple(Alert(each, {}, "active", False, (), fired) for each in labels.values())
    stack = open_stack(topology_of(spec_of({"project": "t", "nginx": {"enabled": True}}), tmp_path))
    since = {name: f.since for name, f in seen(stack, waiting, sent).items() if f.since is not None}
    assert since == {"AppDown": fired, "NginxDown": condition}


@each_row(
    "broken, said",
    [
        (Unreachable("http://127.0.0.1:1", "refused"), "Alertmanager does not answer: nobody is notified"),
        (
            ApiError("HTTP 401"),
            "Alertmanager answers with an error, so notifications may not be sent (HTTP 401)",
        ),
    ],
)
def test_what_fires_is_shown_also_where_alertmanager_does_not_answer(
    stack: Stack, broken: Exception, said: str
) -> None:
    states = {"ProviderDown": "firing", "TargetDown": "pending"}
    waiting = tuple(Firing({"alertname": n}, {}, state, datetime.now(UTC)) for n, state in states.items())
    told = listed(stack, Servers(waiting), Servers(broken))
    assert {f.alert.name: f.state for f in told.alerts}.items() >= {**states, "AppDown": "quiet"}.items()
    assert (told.trouble, told.untold.startswith(said)) == ("", True)


HOOK, TWO_HOOKS = {"webhook_configs": [{}]}, {"webhook_configs": [{}, {}]}
BOTH = {"slack_configs": [{}], "webhook_configs": [{}], "email_configs": []}
BEFORE = Sent(begun=40, delivered=30, failed=20, given_up=10)


class Counting(Alertmanager):
    """Counts what it is told to: `steps` one after the other, the last for good."""

    def __init__(self, receiver: Mapping[str, Any], steps: Sequence[Mapping[str, Sent]]) -> None:
        super().__init__("http://alertmanager.test")
        self._receiver, self._steps, self._looks = receiver, steps, -1
        self.posted: list[tuple[Mapping[str, str], Mapping[str, str], datetime, datetime]] = []

    def status(self) -> AlertmanagerStatus:
        return AlertmanagerStatus("0", str({"receivers": [{"name": "critical", **self._receiver}]}), "")

    def sent(self, receiver: str) -> Mapping[str, Sent]:
        assert receiver == "critical"
        self._looks += 1
        if not self._looks:
            return dict.fromkeys(("webhook", "slack"), BEFORE)
        step = self._steps[min(self._looks, len(self._steps)) - 1]
        more = {name: astuple(step.get(name, Sent(0, 0, 0, 0))) for name in ("webhook", "slack")}
        return {name: Sent(*map(add, astuple(BEFORE), each)) for name, each in more.items()}

    def post(
        self, labels: Mapping[str, str], annotations: Mapping[str, str], starts: datetime, ends: datetime
    ) -> None:
        self.posted.append((labels, annotations, starts, ends))

    def alerts(self) -> tuple[Alert, ...]:
        labels, annotations, starts, _ = self.posted[0]
        return (Alert(labels, annotations, "active", False, ("critical",), starts),)


def tried(folder: Path, server: Counting, locale: str = "en") -> Delivery:
    """Try MemoryHigh out, with a clock that goes on by 1 s at each look."""
    spec = spec_of({"project": "t", "locale": locale, "app": {"public_url": "https://ops.example.com"}})
    stack, passed = open_stack(topology_of(spec, folder)), iter(range(1000))
    stack = replace(stack, pause=lambda _: None)
    return try_out(stack, alerts()["MemoryHigh"], server, within=30, clock=lambda: next(passed))


@each_row(
    "receiver, steps",
    [
        (HOOK, [{}, {"webhook": Sent(1, 0, 0, 0)}, {"webhook": Sent(1, 1, 0, 0)}]),
        (HOOK, [{"webhook": Sent(1, 0, n, 0)} for n in range(5)] + [{"webhook": Sent(1, 1, 4, 0)}]),
        (TWO_HOOKS, [{"webhook": Sent(2, 1, 0, 0)}, {"webhook": Sent(2, 2, 1, 0)}]),
        (BOTH, [{"webhook": Sent(1, 1, 0, 0)}, {"webhook": Sent(1, 1, 0, 0), "slack": Sent(1, 1, 0, 0)}]),
    ],
)
def test_it_arrived_once_every_integration_took_a_request(
    receiver: Mapping[str, Any], steps: Sequence[Mapping[str, Sent]], tmp_path: Path
) -> None:
    arrived = tried(tmp_path, Counting(receiver, steps))
    assert arrived.receiver == "critical"
    assert arrived.seconds == len(steps)


@each_row(
    "receiver, sent, why",
    [
        (HOOK, {"webhook": Sent(1, 0, 0, 0)}, "webhook of receiver critical has not answered within 30 s"),
        (HOOK, {"webhook": Sent(1, 0, 4, 0)}, "sending to webhook of receiver critical failed after 4 tries"),
        (HOOK, {"webhook": Sent(1, 0, 5, 0)}, "sending to webhook of receiver critical failed after 5 tries"),
        (HOOK, {"webhook": Sent(1, 0, 1, 1)}, "sending to webhook of receiver critical failed after 1 try"),
        (
            TWO_HOOKS,
            {"webhook": Sent(2, 1, 5, 0)},
            "sending to webhook of receiver critical (1 of 2) failed after 5 tries",
        ),
        (
            BOTH,
            {"webhook": Sent(1, 1, 0, 0), "slack": Sent(1, 0, 0, 0)},
            "slack of receiver critical has not",
        ),
    ],
)
def test_what_nobody_took_did_not_arrive(
    receiver: Mapping[str, Any], sent: Mapping[str, Sent], why: str, tmp_path: Path
) -> None:
    with pytest.raises(OpsError, match=f"^not delivered: {re.escape(why)}") as raised:
        tried(tmp_path, Counting(receiver, [sent]))
    assert raised.value.exit_code == 1


def test_the_alert_begins_now_ends_with_the_test_and_asks_nobody_to_act(tmp_path: Path) -> None:
    server, begun = Counting(HOOK, [{"webhook": Sent(1, 1, 0, 0)}]), datetime.now(UTC)
    tried(tmp_path, server)
    (labels, annotations, starts, ends), over = server.posted
    assert begun <= starts <= datetime.now(UTC) < ends
    assert over[:3] == (labels, annotations, starts)
    assert starts <= over[3] <= datetime.now(UTC)
    assert "techsapo_test" in labels
    assert set(annotations) == {"summary", "description", "runbook_url", "dashboard_url"}
