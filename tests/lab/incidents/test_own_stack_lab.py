"""A whole stack as `up` makes it: its own Alertmanager tells its app, by a key that the stack has made."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from projects import Project, project, small_spec
from servers import wait_for
from stacks import with_alerts

from techsapo_ops.adapters.alertmanager import Alertmanager
from techsapo_ops.adapters.http import BasicLogin
from techsapo_ops.adapters.tls import Trust
from techsapo_ops.cli.app.orchestrator import Orchestrator, Peer
from techsapo_ops.cli.incidents import client
from techsapo_ops.cli.incidents.client import INCIDENTS, posted
from techsapo_ops.errors import OpsError
from techsapo_ops.services.monitor import USER, password_file

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def lab() -> Iterator[Project]:
    spec = small_spec(investigate={"start": "all", "deadline": "30s"}, schedule={"by": "none"})
    spec["monitoring"] |= with_alerts()
    with project(spec) as made:
        made.run("up")
        made.well()
        yield made


def incidents(lab: Project) -> list[dict[str, Any]]:
    url = f"http://127.0.0.1:{lab.spec['app']['port']}/api/v1/incidents"
    listed: list[dict[str, Any]] = httpx.get(url, timeout=30, trust_env=False).json()["incidents"]
    return listed


def test_an_alert_of_the_stack_is_investigated_with_what_the_stack_says_of_itself(lab: Project) -> None:
    lab.run("event", "deployed shop v12", "--service", "shop")
    lab.run("jobs", "run", "evidence")
    login = BasicLogin(USER, password_file(lab.layout, "alertmanager"))
    server = Alertmanager(f"http://127.0.0.1:{lab.spec['monitoring']['alertmanager']['port']}", login=login)
    now = datetime.now(UTC)
    labels = {"alertname": "ShopSlow", "service": "shop", "severity": "warning"}
    server.post(labels, {"summary": "the shop is slow"}, now, now + timedelta(hours=1))
    wait_for(lambda: [i["investigation"] for i in incidents(lab)] == ["done"], what="an investigation")
    url = f"http://127.0.0.1:{lab.spec['app']['port']}/api/v1/incidents/1"
    whole = httpx.get(url, timeout=30, trust_env=False).json()
    evidence = next(e["detail"] for e in whole["timeline"] if e["kind"] == "evidence")
    assert evidence["unread"] == []
    assert "deployed shop v12" in json.dumps(evidence["pieces"])
    assert {p["kind"] for p in evidence["pieces"]} >= {"changes", "host"}
    drawn = next(e["detail"] for e in whole["timeline"] if e["kind"] == "verdict")
    assert drawn["simulated"]


def test_people_end_an_incident_from_elsewhere_and_are_told_what_does_not_fit(lab: Project) -> None:
    url = f"http://127.0.0.1:{lab.spec['app']['port']}"
    asked = Orchestrator(Peer(url, Trust(), {}), 30, 1000)
    assert [i["number"] for i in client.incidents(asked, "open")] == [1]
    with pytest.raises(OpsError, match="the verdict has no cause 9"):
        posted(asked, f"{INCIDENTS}/1/strike", {"cause": 9, "reason": "no"})
    with pytest.raises(OpsError, match="there is no incident 7"):
        client.incident(asked, 7)
    output = {"check": "disk_space", "output": "Filesystem Use% Mounted on\n/dev/vda1 12% /"}
    checked = posted(asked, f"{INCIDENTS}/1/check", output)
    assert [e["kind"] for e in checked["timeline"]][-3:] == ["checked", "evidence", "verdict"]
    ended = posted(asked, f"{INCIDENTS}/1/resolve", {"cause": "the disk was full"})
    assert ended["cause"] == "the disk was full"
    assert client.incidents(asked, "open") == []
    with pytest.raises(OpsError, match="gave no answer"):
        client.incidents(Orchestrator(Peer("http://127.0.0.1:1", Trust(), {}), 5, 1000))


def test_the_key_is_in_files_of_its_readers_alone_and_in_no_configuration(lab: Project) -> None:
    keys = lab.layout.keys
    key = (keys / "alerts-key").read_text()
    for name in ("alerts-key", "alerts-key.app", "alerts-key.alertmanager"):
        assert stat.S_IMODE((keys / name).stat().st_mode) == 0o600
        assert (keys / name).read_text() == key
    generated = [path for path in lab.layout.config.rglob("*") if path.is_file()]
    assert [path for path in generated if key in path.read_text(errors="replace")] == []
    for process in lab.members():
        assert key not in "\0".join([*process.cmdline(), *process.environ().values()])


def test_a_spec_without_investigations_has_no_route_to_the_app_any_more(lab: Project) -> None:
    spec = {name: section for name, section in lab.spec.items() if name != "investigate"}
    lab.spec = spec
    lab.write()
    lab.run("up")
    lab.well()
    url = f"http://127.0.0.1:{lab.spec['app']['port']}/api/v1/incidents"
    assert httpx.get(url, timeout=30, trust_env=False).status_code == 404
