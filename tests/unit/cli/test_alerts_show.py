"""What servers say of their version, and `techsapo alerts show` as a user calls it."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import in_process
import pytest
from fakes.notified import notified
from fakes.open_stacks import open_stack
from monitoring_stack import spec_of, topology_of

from techsapo_ops.adapters.alertmanager import Alertmanager, Matcher, Silence
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.adapters.prometheus import Firing, Prometheus
from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.watch.alerts.firing import one_alert
from techsapo_ops.watch.status.status import program_versions


def techsapo(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return in_process.techsapo(folder, *words, env={"PATH": "/usr/bin:/bin", **variables})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "techsapo.yaml").write_text(
        "project: t\nengine: native\nredis: {enabled: false}\n"
        "monitoring:\n  prometheus: {enabled: false}\n  alertmanager: {enabled: false}\n"
    )
    return tmp_path


SAID = {
    "redis-server": b"Redis server v=8.0.2 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=b843",
    "nginx": b"nginx version: nginx/1.26.3\n",
    "mariadbd": b"mariadbd  Ver 11.8.9-MariaDB-0+deb13u1 from Debian for debian-linux-gnu on x86_64",
    "prometheus": b"prometheus, version 2.53.3+ds1 (branch: debian/sid, revision: 2.53.3+ds1-2)",
    "prometheus-redis-exporter": b'time="2026-11-27T07:40:54Z" msg="Redis Metrics Exporter 1.69.0-1  date"',
    "prometheus-alertmanager": b"no version here",
}


class Says:
    """Programs that say what the real ones say."""

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        name = Path(command.argv[0]).name
        assert command.argv[1] == ("-v" if name == "nginx" else "--version")
        return Completed(command, 0, b"", SAID.get(name, b""))


def test_what_servers_say_of_their_version_is_understood(tmp_path: Path) -> None:
    spec = spec_of({"project": "t", "mysql": {}, "nginx": {"enabled": True}})
    found = program_versions(open_stack(topology_of(spec, tmp_path), runner=Says()))
    wanted = {
        "redis": "8.0.2", "nginx": "1.26.3", "mysql": "11.8.9-MariaDB-0+deb13u1", "prometheus": "2.53.3+ds1",
        "redis-exporter": "1.69.0-1", "alertmanager": "unknown",
    }  # fmt: skip
    assert {name: found.get(name) for name in wanted} == wanted
    assert "app" not in found


def test_an_alert_is_shown_with_its_silences_receivers_and_first_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    labels = {"alertname": "AppDown", "severity": "critical", "instance": "app-2"}
    ends = now + timedelta(hours=1)
    mine, named = Matcher("instance", "=", "app-2"), Matcher("alertname", "=", "RedisDown")
    of_it = Silence("5f1f1e0c-1", (mine,), now, ends, "hanako", "a new disk", "active")
    other = Silence("9a", (named,), now, ends, "taro", "", "active")
    monkeypatch.setattr(Prometheus, "alerts", lambda _: (Firing(labels, {"summary": "down"}, "firing", now),))
    monkeypatch.setattr(Alertmanager, "alerts", lambda _: ())
    monkeypatch.setattr(Alertmanager, "silences", lambda _: (of_it, other))
    monkeypatch.setattr("techsapo_ops.watch.alerts.firing.holders", lambda *_: {})
    spec = spec_of(
        {
            "project": "t",
            "notifications": notified(
                {"critical": [{"kind": "slack", "url": "https://hooks.example.com/x"}]}
            ),
        }
    )
    stack = open_stack(topology_of(spec, tmp_path))
    prometheus, alertmanager = Prometheus("http://127.0.0.1:1"), Alertmanager("http://127.0.0.1:1")
    found = one_alert(stack, alerts()["AppDown"], prometheus, alertmanager)
    assert [(each.state, each.summary) for each in found.now] == [("firing", "down")]
    assert found.silences == (of_it,)
    assert found.receivers == ("slack",)
    assert found.runbook.steps("en")
    quiet = one_alert(stack, alerts()["RedisDown"], prometheus, alertmanager)
    assert [each.state for each in quiet.now] == ["quiet"]
    assert quiet.silences == (other,)


def test_an_alert_is_shown_also_where_no_server_answers(folder: Path) -> None:
    done = techsapo(folder, "alerts", "show", "AppDown")
    assert done.returncode == 0
    assert "the state of the alert is unknown: this stack runs no Prometheus" in done.stderr
    assert "do first   1. " in done.stdout
    assert techsapo(folder, "alerts", "show", "AppDwn").returncode == 2
    told = json.loads(techsapo(folder, "alerts", "show", "AppDown", "--json").stdout)
    assert (told["states"][0]["state"], told["receivers"]) == ("unknown", [])
