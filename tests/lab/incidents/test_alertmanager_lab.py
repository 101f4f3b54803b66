"""A real Alertmanager on the generated configuration tells the app of alerts; nobody else waits for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import servers
from alert_lab import Receiver, receiving
from fakes.notified import notified
from monitoring_stack import monitoring_file, spec_of, topology_of, write
from orchestrator import serving

from techsapo_ops.adapters.alertmanager import Alertmanager, Matcher
from techsapo_ops.render.stack import secret_files

pytestmark = pytest.mark.lab

KEY = "5e" * 24


@dataclass
class Scene:
    """An Alertmanager, the people whom it tells, and the app."""

    alertmanager: Alertmanager
    told: Receiver
    app: servers.Server

    def fire(self, name: str, **labels: str) -> None:
        now = datetime.now(UTC)
        given = {"alertname": name, "service": "shop", "severity": "critical", **labels}
        self.alertmanager.post(given, {"summary": f"{name} fires"}, now, now + timedelta(hours=1))

    def end(self, name: str, **labels: str) -> None:
        now = datetime.now(UTC)
        given = {"alertname": name, "service": "shop", "severity": "critical", **labels}
        self.alertmanager.post(given, {}, now - timedelta(minutes=1), now)

    def incidents(self) -> dict[str, int]:
        """Titles of the incidents, and how many of their alerts fire."""
        url = f"{self.app.url}/api/v1/incidents"
        answer = httpx.get(url, timeout=30, trust_env=False)
        return {i["title"]: i["firing"] for i in answer.json()["incidents"]}

    def notes(self, name: str, status: str = "firing") -> int:
        return sum((n.alert, n.status) == (name, status) for n in self.told.notes)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("scene")
    with ExitStack() as stack:
        told = stack.enter_context(receiving())
        port = servers.free_port()
        hook = {"kind": "webhook", "url": told.url("critical")}
        sections: dict[str, Any] = {
            "project": "techsapo",
            "app": {"port": port},
            "investigate": {},
            "notifications": notified({"critical": [hook], "warning": [hook], "info": [hook]}),
            "monitoring": {
                "alertmanager": {"group_wait": "0s", "group_interval": "1s", "login": False},
                "grafana": {"enabled": False},
            },
        }
        spec = spec_of(sections)
        write(secret_files(topology_of(spec, folder)), folder)
        (folder / "keys").mkdir()
        (folder / "keys" / "alerts-key.alertmanager").write_text(KEY)
        keys = folder / "app" / ".techsapo" / "keys"
        keys.mkdir(parents=True)
        (keys / "alerts-key").write_text(KEY)
        config = monitoring_file("alertmanager/alertmanager.yml", spec, folder)
        texts = monitoring_file("alertmanager/templates/techsapo.tmpl", spec, folder)
        home = folder / "alertmanager"
        (home / "templates").mkdir(parents=True)
        (home / "templates" / "techsapo.tmpl").write_text(texts.content, encoding="utf-8")
        auth = {"required": True, "monitoring_networks": []}
        app = stack.enter_context(
            serving(folder / "app", port=port, app={"port": port, "auth": auth}, investigate={})
        )
        server = stack.enter_context(servers.alertmanager(config.content, home))
        yield Scene(Alertmanager(server.url), told, app)


def test_the_app_hears_of_alerts_with_its_key_and_of_their_end_but_of_no_test_drill_or_silenced_one(
    here: Scene,
) -> None:
    now = datetime.now(UTC)
    muted = [Matcher("alertname", "=", "Muted")]
    here.alertmanager.silence(muted, now, now + timedelta(hours=1), "lab", "muted")
    for name, labels in {
        "Watchdog": {}, "Test": {"techsapo_test": "1"}, "Exercise": {"drill": "true"},
        "Again": {"next": "0"}, "WeeklyReport": {}, "Muted": {},
    }.items():  # fmt: skip
        here.fire(name, **labels)
    here.fire("Slow")
    servers.wait_for(lambda: here.incidents() == {"Slow fires": 1}, what="an incident")
    servers.wait_for(lambda: here.notes("Slow") == 1, what="the message to people")
    assert here.notes("Muted") == 0
    here.end("Slow")
    servers.wait_for(lambda: here.incidents() == {"Slow fires": 0}, timeout=60, what="its end")
    assert "Authentication failed" not in here.app.log()


def test_people_are_told_while_the_app_is_away_and_it_hears_of_it_when_it_is_back(here: Scene) -> None:
    here.app.process.terminate()
    here.app.process.wait(30)
    here.fire("Late", service="till")
    servers.wait_for(lambda: here.notes("Late") == 1, what="the message to people")
    folder, port = here.app.directory, here.app.port
    auth = {"required": True, "monitoring_networks": []}
    with serving(folder, port=port, app={"port": port, "auth": auth}, investigate={}):
        servers.wait_for(lambda: here.incidents().get("Late fires") == 1, timeout=60, what="an incident")
