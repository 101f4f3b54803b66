"""What Alertmanager counts of its notifications."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from rows import each_row

from techsapo_ops.adapters.alertmanager import Alertmanager, Sent

NAMED = """\
alertmanager_notifications_total{integration="webhook",receiver_name="critical"} 3
alertmanager_notifications_total{integration="webhook",receiver_name="watchdog"} 90
alertmanager_notifications_failed_total{integration="webhook",reason="clientError",receiver_name="critical"} 0
alertmanager_notifications_failed_total{integration="webhook",reason="other",receiver_name="critical"} 1
alertmanager_notifications_failed_total{integration="webhook",reason="other",receiver_name="watchdog"} 7
alertmanager_notification_requests_total{integration="webhook",receiver_name="critical"} 6
alertmanager_notification_requests_total{integration="webhook",receiver_name="watchdog"} 95
alertmanager_notification_requests_failed_total{integration="webhook",receiver_name="critical"} 5
alertmanager_notification_requests_failed_total{integration="webhook",receiver_name="watchdog"} 12
alertmanager_notification_latency_seconds_count{integration="webhook",receiver_name="critical"} 6
"""
UNNAMED = """\
alertmanager_notifications_total{integration="webhook"} 93
alertmanager_notifications_failed_total{integration="webhook",reason="other"} 8
alertmanager_notification_requests_total{integration="webhook"} 101
alertmanager_notification_requests_failed_total{integration="webhook"} 17
"""


@each_row("metrics, sent", [(NAMED, Sent(3, 1, 5, 1)), (UNNAMED, Sent(93, 84, 17, 8))])
def test_a_receiver_s_notifications_are_counted_without_the_watcher_s_beats(
    metrics: str, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Alertmanager("http://127.0.0.1:9")

    def fetch(path: str, **_: Any) -> SimpleNamespace:
        assert path == "metrics"
        return SimpleNamespace(text=metrics)

    monkeypatch.setattr(server, "fetch", fetch)
    assert server.sent("critical") == {"webhook": sent}
