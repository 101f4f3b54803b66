"""A whole stack that is asked as its users ask: through nginx and TLS, by the outside name; then it fails."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import pytest
from projects import Project, project, small_spec
from servers import free_port, wait_for

pytestmark = pytest.mark.lab

NAME = "ops.example.com"


@pytest.fixture(scope="module")
def stack() -> Iterator[Project]:
    spec = small_spec(
        redis={"enabled": False},
        certificates={"site": {"names": [NAME]}},
        schedule={"by": "none"},
        locale="en",
    )
    monitoring = spec["monitoring"]
    monitoring["prometheus"] |= {"scrape_interval": "1s", "login": False}
    monitoring["alertmanager"] |= {"group_wait": "1s", "login": False}
    for name in ("nginx", "blackbox"):
        monitoring["exporters"][name] = free_port()
    monitoring["alerts"] = {
        "NginxDown": {"for": "2s"},
        "ProbeFailing": {"for": "4s"},
        "TargetDown": {"enabled": False},
    }
    with project(spec) as made:
        made.run("up", "--yes", timeout=180)
        yield made


def value(stack: Project, expression: str) -> float | None:
    return next((float(r["value"][1]) for r in stack.query(expression)), None)


def firing(stack: Project) -> dict[str, str]:
    """State in Alertmanager of each alert that it holds."""
    return {
        a["labels"]["alertname"]: a["status"]["state"] for a in stack.ask("alertmanager", "api/v2/alerts")
    }


def test_the_front_answers_by_its_outside_name_and_health_has_a_row_of_it(stack: Project) -> None:
    wait_for(lambda: value(stack, "techsapo:probes:success") == 1, what="the front answers")
    (shown,) = stack.query('probe_ssl_last_chain_info{job="techsapo-probes"}')
    assert shown["metric"]["subjectalternative"] == NAME
    row = next(p for p in stack.health()["probes"] if p["name"] == "probe nginx")
    assert (row["status"], row["kind"], row["detail"]) == ("healthy", "probe", "HTTP 200")
    assert [p["name"] for p in stack.health()["probes"] if "techsapo-probes" in p["name"]] == []


def test_the_app_counts_no_probe_as_a_user(stack: Project) -> None:
    wait_for(lambda: (value(stack, 'techsapo_http_requests_total{route="/ping"}') or 0) > 5)
    users = 'techsapo_http_requests_total{route!~"/ping|/metrics|/health|/api/v1/health"}'
    assert stack.query(f"{users} > 0") == []
    assert stack.query("techsapo:http_requests:rate5m > 0") == []
    for counted in ("rate_limit_hits", "auth_failures", "anomaly_requests", "wallbounce_requests"):
        assert stack.query(f"techsapo_{counted}_total > 0") == [], counted


def test_a_probe_that_is_answered_is_no_line_in_the_access_log(stack: Project) -> None:
    wait_for(lambda: (value(stack, 'techsapo_http_requests_total{route="/ping"}') or 0) > 5)
    lines = stack.run("logs", "nginx", "-n", "500").stdout.splitlines()
    written = [json.loads(line) for line in lines if '"uri"' in line]
    assert [line for line in written if (line["uri"], line["status"]) == ("/ping", "200")] == []


def test_another_probe_in_the_spec_is_taken_over_by_a_reload_and_read_back(stack: Project) -> None:
    before = stack.pids()["blackbox-exporter"]
    listens = f"tcp://127.0.0.1:{stack.spec['monitoring']['alertmanager']['port']}"
    probes = [{"name": "mail", "url": listens}]
    stack.write(monitoring={**stack.spec["monitoring"], "probes": probes})
    done = json.loads(stack.run("up", "--yes", "--json").stdout)
    changed = {s["service"]: s["action"] for s in done["steps"] if s["action"] != "nothing"}
    assert changed == {"blackbox-exporter": "reload", "prometheus": "reload"}
    assert stack.pids()["blackbox-exporter"] == before
    wait_for(lambda: value(stack, 'probe_success{name="mail",scope="target"}') == 1)


def test_a_killed_nginx_wakes_people_by_the_probe_and_is_named_as_its_cause(stack: Project) -> None:
    supervisor = stack.supervisor()
    supervisor.send_signal(signal.SIGSTOP)  # it would have another one within a moment
    try:
        ours = [p for p in stack.members() if p.name() == "nginx"]
        assert ours
        for process in ours:
            process.kill()
        wait_for(lambda: {"NginxDown", "ProbeFailing"} <= set(firing(stack)), timeout=60, what="both fire")
        assert {firing(stack)[name] for name in ("NginxDown", "ProbeFailing")} == {"active"}
        row = next(p for p in stack.health()["probes"] if p["name"] == "probe nginx")
        assert (row["status"], row["hint"]) == ("down", "`techsapo logs blackbox-exporter`")
    finally:
        supervisor.send_signal(signal.SIGCONT)
    wait_for(lambda: value(stack, "techsapo:probes:success") == 1, what="it answers again")
    assert "Probe failed" in stack.run("logs", "blackbox-exporter", "-n", "50").stdout


def test_an_app_that_is_out_of_reach_behind_a_good_nginx_fails_the_probe(stack: Project) -> None:
    wait_for(lambda: "ProbeFailing" not in firing(stack), what="all is well")
    app = next(p for p in stack.members() if p.pid == stack.pids()["app"])
    app.send_signal(signal.SIGSTOP)
    try:
        wait_for(lambda: value(stack, "techsapo:probes:success") == 0, what="the probe fails")
        assert value(stack, "nginx_up") == 1
    finally:
        app.send_signal(signal.SIGCONT)
    wait_for(lambda: value(stack, "techsapo:probes:success") == 1, what="it answers again")
