"""Which state `alerts list` shows, and when `alerts test` says that a notification arrived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fakes.open_stacks import open_stack
from monitoring_stack import spec_of, topology_of
from rows import each_row

from techsapo_ops.adapters.alertmanager import Alert, Alertmanager, AlertmanagerStatus, Sent
from techsapo_ops.adapters.monitoring_server import ApiError
from techsapo_ops.adapters.prometheus import Firing, Prometheus
from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.watch.alerts import listed
from techsapo_ops.operations.watch.delivery import Delivery, try_out


def test_an_alert_about_a_server_that_the_stack_does_not_run_is_off_and_not_quiet(tmp_path: Path) -> None:
    spec = spec_of({"project": "t"})  # one app without nginx, and no MySQL
    found = listed(open_stack(topology_of(spec, tmp_path)), None, None).alerts
    states = {f.alert.name: f.state for f in found}
    assert set(states) == {name for name, alert in alerts().items() if not alert.machines}
    assert [states[n] for n in ("NginxDown", "MysqlDown", "RedisDown", "TargetDown")] == [
        "off", "off", "unknown", "unknown",
    ]  # fmt: skip


def test_what_alertmanager_holds_back_is_silenced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of({"project": "t"})
    labels, now = {"alertname": "AppDown", "severity": "critical"}, datetime.now(UTC)
    sent = Alert(labels, {}, "suppressed", True, ("critical",), now)
    monkeypatch.setattr(Prometheus, "alerts", lambda _: (Firing(labels, {}, "firing", now),))
    monkeypatch.setattr(Alertmanager, "alerts", lambda _: (sent,))
    monkeypatch.setattr(Alertmanager, "silences", lambda _: ())
    stack = open_stack(topology_of(spec, tmp_path))
    found = listed(stack, Prometheus("http://127.0.0.1:1"), Alertmanager("http://127.0.0.1:1")).alerts
    assert [f.state for f in found if f.alert.name == "AppDown"] == ["silenced"]


def test_what_fires_began_when_its_messages_say_and_what_is_pending_when_its_condition_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    condition, fired = datetime(2026, 1, 2, 3, 4, tzinfo=UTC), datetime(2026, 1, 2, 3, 5, tzinfo=UTC)
    labels = {name: {"alertname": name, "severity": "critical"} for name in ("AppDown", "NginxDown")}
    monkeypatch.setattr(
        Prometheus,
        "alerts",
        lambda _: (
            Firing(labels["AppDown"], {}, "firing", condition),
            Firing(labels["NginxDown"], {}, "pending", condition),
        ),
    )
    # Alertmanager still has the one before of what is pending now.
    sent = tuple(Alert(each, {}, "active", False, (), fired) for each in labels.values())
    monkeypatch.setattr(Alertmanager, "alerts", lambda _: sent)
    monkeypatch.setattr(Alertmanager, "silences", lambda _: ())
    stack = open_stack(topology_of(spec_of({"project": "t", "nginx": {"enabled": True}}), tmp_path))
    found = listed(stack, Prometheus("http://127.0.0.1:1"), Alertmanager("http://127.0.0.1:1")).alerts
    since = {f.alert.name: f.since for f in found if f.since is not None}
    assert since == {"AppDown": fired, "NginxDown": condition}


@each_row(
    "broken, said",
    [
        (None, "Alertmanager does not answer: nobody is told"),
        (ApiError("HTTP 401"), "Alertmanager answers with an error: maybe nobody is told (HTTP 401)"),
    ],
)
def test_what_fires_is_shown_also_where_alertmanager_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: ApiError | None, said: str
) -> None:
    now = datetime.now(UTC)
    waiting = tuple(
        Firing({"alertname": name}, {}, state, now)
        for name, state in (("ProviderDown", "firing"), ("TargetDown", "pending"))
    )
    monkeypatch.setattr(Prometheus, "alerts", lambda _: waiting)
    if broken is not None:

        def refuse(_: Alertmanager) -> tuple[Alert, ...]:
            raise broken

        monkeypatch.setattr(Alertmanager, "alerts", refuse)
    stack = open_stack(topology_of(spec_of({"project": "t"}), tmp_path))
    told = listed(stack, Prometheus("http://127.0.0.1:1"), Alertmanager("http://127.0.0.1:1"))
    states = {f.alert.name: f.state for f in told.alerts}
    assert [states[n] for n in ("ProviderDown", "TargetDown", "AppDown")] == ["firing", "pending", "quiet"]
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
        nothing = Sent(0, 0, 0, 0)
        return {name: added(BEFORE, step.get(name, nothing)) for name in ("webhook", "slack")}

    def post(
        self, labels: Mapping[str, str], annotations: Mapping[str, str], starts: datetime, ends: datetime
    ) -> None:
        self.posted.append((labels, annotations, starts, ends))

    def alerts(self) -> tuple[Alert, ...]:
        labels, annotations, starts, _ = self.posted[0]
        return (Alert(labels, annotations, "active", False, ("critical",), starts),)


def added(before: Sent, more: Sent) -> Sent:
    return Sent(
        before.begun + more.begun,
        before.delivered + more.delivered,
        before.failed + more.failed,
        before.given_up + more.given_up,
    )


def tried(folder: Path, server: Counting, locale: str = "en") -> Delivery:
    """Try MemoryHigh out, with a clock that goes on by 1 s at each look."""
    spec = spec_of({"project": "t", "locale": locale, "app": {"public_url": "https://ops.example.com"}})
    stack, passed = replace(open_stack(topology_of(spec, folder)), pause=lambda _: None), iter(range(1000))
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
        (HOOK, {"webhook": Sent(1, 0, 4, 0)}, "webhook of receiver critical failed, 4 tries"),
        (HOOK, {"webhook": Sent(1, 0, 5, 0)}, "webhook of receiver critical failed, 5 tries"),
        (HOOK, {"webhook": Sent(1, 0, 1, 1)}, "webhook of receiver critical failed, 1 try"),
        (TWO_HOOKS, {"webhook": Sent(2, 1, 5, 0)}, "1 of 2 webhook of receiver critical failed, 5 tries"),
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
    with pytest.raises(OpsError, match=f"^not delivered: {why}") as raised:
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
