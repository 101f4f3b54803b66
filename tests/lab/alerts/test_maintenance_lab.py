"""`techsapo maintenance`: nginx turns users away, everything else goes on, and nothing ends it but `off`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from projects import Project, only_redis, project
from servers import free_port

pytestmark = pytest.mark.lab

MESSAGE = "新しいディスクへ <b>移行</b> & more"


@pytest.fixture(scope="module")
def stack() -> Iterator[Project]:
    spec = only_redis(engine="native", nginx={"listen": free_port()})
    spec["monitoring"]["alertmanager"]["enabled"] = True
    spec["app"] = {
        "drain": "0s",
        "instances": [{"port": free_port(), "weight": 3}, {"port": free_port(), "weight": 2}],
    }
    with project(spec) as made:
        made.run("up")
        yield made


def get(stack: Project, path: str, accept: str = "*/*", method: str = "GET") -> httpx.Response:
    url = f"http://127.0.0.1:{stack.spec['nginx']['listen']}{path}"
    return httpx.request(method, url, headers={"Accept": accept}, timeout=60, trust_env=False)


def closed(stack: Project) -> bool:
    return get(stack, "/").status_code == 503


def status(stack: Project) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stack.run("maintenance", "status", "--json").stdout)
    return found


def test_users_are_told_and_monitoring_jobs_and_the_app_go_on(stack: Project) -> None:
    before = stack.pids()
    stack.run("maintenance", "on", "--until", "2h", "--message", MESSAGE)
    page = get(stack, "/", "text/html,*/*")
    assert (page.status_code, page.headers["Retry-After"]) == (503, "120")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["Cache-Control"] == "no-store"
    assert "メンテナンス中です" in page.text
    assert "Down for maintenance" in page.text
    assert "&lt;b&gt;移行&lt;/b&gt; &amp; more" in page.text
    for method, path in (
        ("POST", "/api/v1/generate"),
        ("POST", "/v1/chat/completions"),
        ("GET", "/v1/models"),
    ):
        told = get(stack, path, "application/json", method)
        assert (told.status_code, told.headers["Retry-After"]) == (503, "120"), path
        assert told.headers["Content-Type"] == "application/problem+json"
        assert (told.json()["code"], told.json()["error"]["code"]) == ("maintenance", "maintenance")
        assert MESSAGE in told.json()["detail"]
    for path in ("/ping", "/health", "/metrics", "/nginx-health", "/api/v1/status"):
        assert get(stack, path).status_code == 200, path
    assert get(stack, "/techsapo-maintenance/problem.json").status_code == 404
    direct = stack.spec["app"]["instances"][0]["port"]
    answer = httpx.post(
        f"http://127.0.0.1:{direct}/api/v1/generate", json={"prompt": "x"}, timeout=60, trust_env=False
    )
    assert answer.status_code == 200
    assert stack.pids() == before
    shown = get(stack, "/api/v1/status").json()["maintenance"]
    assert (shown["forgotten"], MESSAGE in shown["detail"]) == (False, True)
    assert MESSAGE in stack.run("ps").stderr
    health = stack.health()
    (part,) = [p for p in health["probes"] if p["kind"] == "maintenance"]
    assert (health["status"], part["status"]) == ("healthy", "healthy")


def test_nothing_ends_it_but_off(stack: Project) -> None:
    stack.run("maintenance", "on", "--message", "up and restart")
    stack.write(wallbounce={"consensus": 0.55})
    stack.run("down")
    stack.run("up")
    assert closed(stack)
    assert status(stack)["message"] == "up and restart"
    stack.run("maintenance", "off")
    assert get(stack, "/").status_code == 200
    assert status(stack) == {"on": False}
    recorded = [a["action"] for a in json.loads(stack.run("audit", "show", "--json").stdout)]
    assert recorded.count("maintenance on") >= 1
    assert recorded.count("maintenance off") == 1


def test_one_that_was_killed_in_the_middle_is_finished_by_the_next(stack: Project) -> None:
    folder = stack.directory / ".techsapo/generated/nginx/maintenance"
    note = stack.directory / ".techsapo/maintenance.json"
    stack.run("maintenance", "on", "--message", "half")
    (folder / "problem.json").unlink()  # as a kill between the note and the switch leaves it
    assert not closed(stack)
    assert status(stack)["on"] is True
    assert "still serves users, although maintenance is on" in stack.run("changes", "drift", code=100).stdout
    stack.run("up")
    assert closed(stack)
    note.unlink()  # as a kill between the note's end and the switch's leaves it
    assert closed(stack)
    told = json.loads(stack.run("changes", "drift", "--json", code=100).stdout)["findings"]
    assert ("maintenance", "nginx") in [(each["kind"], each["name"]) for each in told]
    stack.run("maintenance", "off")
    assert not closed(stack)


def test_a_kill_9_at_any_moment_leaves_one_or_the_other(stack: Project) -> None:
    for number in range(4):
        process = stack.popen("maintenance", "on" if number % 2 == 0 else "off")
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.3 + 0.1 * number)
        process.kill()
        process.communicate(timeout=60)
        # 502: after the `up` of the test before, nginx may pass over both instances for a moment.
        assert get(stack, "/").status_code in {200, 502, 503}
    stack.run("maintenance", "on")
    assert closed(stack)
    stack.run("maintenance", "off")
    assert not closed(stack)


def silences(stack: Project) -> list[dict[str, Any]]:
    """Those that Alertmanager goes by."""
    return [s for s in stack.ask("alertmanager", "api/v2/silences") if s["status"]["state"] == "active"]


def test_what_users_notice_is_silenced_until_it_ends_and_nothing_else(stack: Project) -> None:
    other = json.loads(stack.run("alerts", "silence", "MemoryHigh", "-c", "other", "--json").stdout)["id"]
    stack.run("maintenance", "on", "--until", "2h", "--message", "first")
    stack.run("maintenance", "on", "--until", "3h", "--message", "second")
    (mine,) = [s for s in silences(stack) if s["id"] != other]
    assert mine["comment"] == "maintenance: second"
    (matcher,) = mine["matchers"]
    assert (matcher["name"], matcher["isRegex"], matcher["isEqual"]) == ("alertname", True, True)
    assert {"ResponseTimeHigh", "ProbeTargetFailing"} <= set(matcher["value"].split("|"))
    assert "DiskFull" not in matcher["value"]
    ends = datetime.fromisoformat(mine["endsAt"]) - datetime.now(UTC)
    assert timedelta(hours=2) < ends <= timedelta(hours=3)
    note = stack.directory / ".techsapo/maintenance.json"
    note.write_text(json.dumps({**json.loads(note.read_text()), "silence": ""}))  # killed before it was noted
    stack.run("maintenance", "off")
    assert [s["id"] for s in silences(stack)] == [other]
    stack.run("maintenance", "on")
    note.unlink()  # killed between the note's end and the silence's
    stack.run("maintenance", "off")
    assert [s["id"] for s in silences(stack)] == [other]
    stack.run("alerts", "silence", "--expire", other)


def test_one_that_was_forgotten_makes_the_stack_degraded(stack: Project) -> None:
    stack.run("maintenance", "on", "--until", "1h")
    note = stack.directory / ".techsapo/maintenance.json"
    told = json.loads(note.read_text())
    told["until"] = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    note.write_text(json.dumps(told))
    health = stack.health()
    (part,) = [p for p in health["probes"] if p["kind"] == "maintenance"]
    assert (health["status"], part["status"]) == ("degraded", "degraded")
    assert "maintenance off" in part["hint"]
    assert status(stack)["forgotten"] is True
    stack.run("maintenance", "off")


def test_a_time_that_is_none_or_over_changes_nothing(stack: Project) -> None:
    for wrong in ("soon", "2020-01-01T00:00", "-5m", "0s"):
        told = stack.run("maintenance", "on", "--until", wrong, code=2).stderr
        assert "--until" in told
    stack.run("maintenance", "on", "--message", "x" * 501, code=2)
    assert status(stack) == {"on": False}
    assert not closed(stack)
