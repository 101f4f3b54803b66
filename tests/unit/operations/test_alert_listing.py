"""Which state `techsapo alerts list` shows for an alert that the stack can not have."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes.open_stacks import open_stack
from monitoring_stack import spec_of, topology_of
from rows import each_row

from techsapo_ops.adapters.alertmanager import Alert, Alertmanager
from techsapo_ops.adapters.monitoring_server import ApiError
from techsapo_ops.adapters.prometheus import Firing, Prometheus
from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.operations.watch.alerts import listed


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
