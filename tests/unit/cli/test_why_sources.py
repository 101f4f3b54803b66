"""What `techsapo why` looks into first, and how long it waits for sources that never answer."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes.alertmanager import FakeAlertmanager
from fakes.open_stacks import stack_in
from rows import each_row

from techsapo_ops.adapters.alertmanager import Alert
from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.prometheus import Firing, Prometheus
from techsapo_ops.cli.incidents import looking
from techsapo_ops.cli.incidents.looking import ANSWERED, Deadline, looked_at, unmuted_first

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def firing(name: str) -> Firing:
    return Firing({"alertname": name, "service": "redis"}, {}, "firing", NOON)


def held(name: str, state: str, *, silenced: bool = False) -> Alert:
    return Alert({"alertname": name, "service": "redis"}, {}, state, silenced, ("pager",), NOON)


def names(server: FakeAlertmanager | None) -> list[str]:
    alerts = [firing(name) for name in ("RedisErrors", "CacheSlow", "RedisDown")]
    return [each.labels["alertname"] for each in unmuted_first(alerts, server)]


def test_an_alert_that_another_one_or_a_silence_mutes_is_looked_into_last() -> None:
    server = FakeAlertmanager()
    server.held = (
        held("RedisErrors", "suppressed"),
        held("CacheSlow", "suppressed", silenced=True),
        held("RedisDown", "active"),
    )
    assert names(server) == ["RedisDown", "RedisErrors", "CacheSlow"]


def test_without_an_alertmanager_that_answers_the_order_of_prometheus_holds() -> None:
    server = FakeAlertmanager()

    def away(_: str) -> None:
        raise Unreachable("http://alertmanager.test", "connection refused")

    server.before = away
    assert names(server) == names(None) == ["RedisErrors", "CacheSlow", "RedisDown"]


@each_row(
    "started, seconds",
    [
        (0.0, ANSWERED),  # what came before costs nothing
        (1.0, ANSWERED - 1),
        (60.0, ANSWERED - 3),  # and a slow start leaves time all the same
    ],
)
def test_both_rounds_of_questions_together_end_before_the_answer_is_due(
    started: float, seconds: float
) -> None:
    now = 1000.0
    deadline = Deadline.from_start(now - started, lambda: now)
    first = deadline.left(looking._SUBJECT)
    now += first
    assert first + deadline.left() < seconds


def test_a_prometheus_that_never_answers_is_named_and_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It accepts and says nothing, to every question."""
    monkeypatch.setattr(looking, "_LEAST", 0.1)
    stack = stack_in(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        monkeypatch.setattr(looking, "prometheus_of", lambda _, timeout: Prometheus(url, timeout=timeout))
        material = looked_at(stack, "", timedelta(minutes=30), datetime.now(UTC), Deadline(0.0))
    assert material is not None
    assert "Prometheus" in {each.source for each in material.unread}
    assert material.read
