"""Every panel has data, and the data is true: the real app under known traffic, scraped by a real Prometheus
with the generated rules; then the same dashboards as the app's own page draws them.
"""

from __future__ import annotations

import os
import re
import time
import urllib.parse
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import httpx
import pytest
import servers
from browsers import Window, browser
from documented import Documented
from monitoring_stack import monitoring_files, spec_of
from orchestrator import QUICK, ask, serving

from techsapo_ops.adapters.textfile import Sample, write_textfile
from techsapo_ops.catalogue.dashboards import Panel, dashboards
from techsapo_ops.catalogue.series import job_metrics

pytestmark = pytest.mark.lab

FAILING = {"kind": "simulated", "seed": 4, "error_rate": 1.0, "latency": "1ms"}
HERE = [d for d in dashboards().values() if d.needs in {None, "node-exporter"} and not d.machines]
"""The dashboards of what runs here; test_server_dashboards_lab.py has the others."""
DEAR = {"sim-b": 3.0, "sim-c": 2.0}
"""USD per million tokens above the others' 1."""


@dataclass
class Watched:
    """The running app and Prometheus, and what was asked of them."""

    app: servers.Server
    prometheus: servers.Server
    textfiles: Path
    answers: list[dict[str, Any]] = field(default_factory=list)
    refused: int = 0
    attacks: int = 0

    def query(self, expr: str) -> dict[str, Any]:
        url = f"{self.prometheus.url}/api/v1/query?{urllib.parse.urlencode({'query': expr})}"
        told: dict[str, Any] = httpx.get(url, timeout=60, trust_env=False).json()
        assert told["status"] == "success", told
        return told

    def values(self, expr: str, label: str = "") -> dict[str, float]:
        """The value of each series by one of its labels."""
        found = self.query(expr)["data"]["result"]
        return {r["metric"].get(label, ""): float(r["value"][1]) for r in found}

    def panel(self, dashboard: str, title: str, query: int = 0, label: str = "") -> dict[str, float]:
        (panel,) = [p for p in dashboards()[dashboard].panels if p.title["en"] == title]
        return self.values(panel.queries[query].promql(rate_interval="10s"), label)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    directory = tmp_path_factory.mktemp("watched")
    node_port, prometheus_port = servers.free_port(), servers.free_port()
    monitoring = {
        "prometheus": {"port": prometheus_port, "scrape_interval": "1s"},
        "alertmanager": {"enabled": False},
        "grafana": {"enabled": False},
        "exporters": {"node": node_port, "blackbox": None},
        "alerts": {"BudgetHigh": {"threshold": 70}, "AuthFailuresHigh": {"threshold": 7}},
    }
    providers: dict[str, Any] = {
        name: {**QUICK[name], "price": {"input": DEAR.get(name, 1.0), "output": DEAR.get(name, 1.0)}}
        for name in QUICK
    }
    with ExitStack() as stack:
        node = [
            servers.binary("prometheus-node-exporter"),
            f"--web.listen-address=127.0.0.1:{node_port}",
            f"--collector.textfile.directory={directory / 'textfile'}",
        ]
        # What jobs leave: one value of each series that a panel may read; a certificate's life has a length.
        left = [
            Sample(m.name, 2 if "not_after" in m.name else 1, dict.fromkeys(m.labels[1:], "any"))
            for m in job_metrics().values()
        ]
        write_textfile(directory / "textfile", "drift", left)
        ready = f"http://127.0.0.1:{node_port}"
        stack.enter_context(
            servers.running(node, directory / "node", node_port, lambda: servers.http_ok(ready))
        )
        redis = stack.enter_context(servers.redis(directory / "redis"))
        app = stack.enter_context(
            serving(
                directory / "app",
                redis={"port": redis.port},
                providers={**providers, "sim-d": FAILING},
                budget={"monthly_usd": 1000, "count_simulated": True},
                monitoring={"prometheus": {"port": prometheus_port}, "alerts": monitoring["alerts"]},
            )
        )
        spec = spec_of(
            {"project": "t", "app": {"port": app.port}, "redis": {"enabled": False}}, monitoring=monitoring
        )
        files = monitoring_files(spec)
        for kind in ("alerts", "recording"):
            path = directory / "prometheus" / "rules" / f"{kind}.yml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[f"prometheus/rules/{kind}.yml"].content, encoding="utf-8")
        config = files["prometheus/prometheus.yml"].content
        prometheus = stack.enter_context(
            servers.prometheus(config, directory / "prometheus", port=prometheus_port)
        )
        watched = Watched(app, prometheus, directory / "textfile")
        servers.wait_for(
            lambda: bool(watched.values('techsapo_build_info{job="techsapo-app"}')),
            what="first scrape",
        )
        yield watched


def traffic(watched: Watched) -> None:
    """A critical question to all four providers, one of which fails; one without words; one for /.env; and
    a read that the disk itself answers, as a machine with memory to spare may have none for minutes.
    """
    prompt = f"Dockerコンテナが起動しない {len(watched.answers)}"
    answer = ask(watched.app, prompt, task_type="critical")
    assert answer.status_code == 200, answer.text
    watched.answers.append(answer.json())
    with next(watched.textfiles.iterdir()).open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        file.read()
    watched.refused += ask(watched.app, "").status_code == 422
    watched.attacks += httpx.get(f"{watched.app.url}/.env", trust_env=False, timeout=60).status_code == 404


def dead(watched: Watched, panel: Panel) -> list[str]:
    """The queries of a panel without data, or with a warning."""
    told = []
    for query in panel.queries:
        expr = query.promql(rate_interval="10s")
        answer = watched.query(expr)
        if not answer["data"]["result"] or answer.get("warnings") or answer.get("infos"):
            told.append(f"{panel.title['en']}: {expr} {answer.get('warnings')} {answer.get('infos')}")
    return told


def test_no_panel_is_dead_and_none_warns(watched: Watched) -> None:
    def lifeless() -> list[str]:
        traffic(watched)
        return [line for d in HERE for p in d.panels for line in dead(watched, p)]

    found = lifeless()
    for _ in range(12):
        if not found:
            break
        found = lifeless()
    assert found == []


def test_the_figures_are_those_of_the_traffic(watched: Watched) -> None:
    while len(watched.answers) < 4:
        traffic(watched)
    answers = watched.answers
    costs: dict[str, float] = defaultdict(float)
    for answer in answers:
        for provider in answer["providers"]:
            costs[provider["name"]] += provider["cost_usd"]
    spent = sum(answer["cost_usd"] for answer in answers)
    asked = float(len(answers))
    servers.wait_for(
        lambda: watched.values("sum(techsapo_wallbounce_requests_total)") == {"": asked}, what="scraped"
    )
    servers.wait_for(
        lambda: watched.panel("cost", "Spent and forecast", 2).get("") == pytest.approx(spent, rel=1e-3),
        what="the month's spending",
    )
    settled = watched.values("techsapo:wallbounce_confidence:mean5m")
    servers.wait_for(
        lambda: (
            watched.values("techsapo:wallbounce_confidence:mean5m")
            == pytest.approx({"": fmean(a["confidence"] for a in answers)}, abs=0.02)
        ),
        what=f"confidence (was {settled})",
    )
    assert watched.panel("main", "Consensus score")[""] == pytest.approx(
        fmean(a["consensus"] for a in answers), abs=0.02
    )
    assert watched.panel("main", "Success rate") == {"": 1.0}
    assert watched.panel("llm", "Success", label="provider") == pytest.approx(
        {"sim-a": 1.0, "sim-b": 1.0, "sim-c": 1.0, "sim-d": 0.0}
    )
    # What came after the last answer may be one scrape behind it.
    anomalies = "sum by (reason) (techsapo_anomaly_requests_total) > 0"
    servers.wait_for(
        lambda: watched.values(anomalies, "reason").get("sensitive_path") == float(watched.attacks),
        what="the paths that were tried",
    )
    refused = watched.values('sum(techsapo_http_requests_total{status="422"})')
    assert refused == {"": float(watched.refused)}
    counted = watched.values("sum by (provider) (techsapo_llm_cost_usd_total) > 0", "provider")
    assert counted == pytest.approx({k: v for k, v in costs.items() if v > 0}, rel=1e-6)
    assert set(watched.panel("cost", "Recommended provider", label="provider")) == {
        min(counted, key=counted.__getitem__)
    }


def test_a_bucket_leads_to_a_request_that_fell_into_it(watched: Watched) -> None:
    traffic(watched)

    def known() -> set[str]:
        asked = {"query": "techsapo_wallbounce_duration_seconds_bucket", "start": 0, "end": time.time() + 1}
        url = f"{watched.prometheus.url}/api/v1/query_exemplars?{urllib.parse.urlencode(asked)}"
        found = httpx.get(url, timeout=60, trust_env=False).json()["data"]
        return {e["labels"]["request_id"] for series in found for e in series["exemplars"]}

    servers.wait_for(lambda: bool(known()), what="an exemplar")
    assert known() <= {answer["request_id"] for answer in watched.answers}


def test_figures_alerts_and_jobs_are_what_their_documented_models_tell_of(watched: Watched) -> None:
    with httpx.Client(base_url=watched.app.url, trust_env=False, timeout=60) as client:
        documented = Documented(client.get("/openapi.json").json())
        for name in dashboards():
            documented.check(client.get(f"/api/v1/dashboards/{name}?span=15m"))
        known = documented.check(client.get("/api/v1/dashboards"))
        assert (known["prometheus"], len(known["variables"]["provider"])) == ("ready", 4)
        servers.wait_for(lambda: bool(client.get("/api/v1/status").json()["alerts"]), what="an alert")
        status = documented.check(client.get("/api/v1/status"))
        assert "drift" in [job["name"] for job in status["jobs"]]
        documented.check(client.get("/api/v1/metrics/recent"))


def test_a_stretch_of_any_length_has_its_figures_and_the_applies_in_it(watched: Watched) -> None:
    traffic(watched)
    apply = {"number": "17", "user": "花子", "command": "up", "result": "ok", "files": "2"}
    ended = time.time()
    write_textfile(watched.textfiles, "apply", [Sample("techsapo_apply_timestamp_seconds", ended, apply)])
    servers.wait_for(
        lambda: bool(watched.values('techsapo_apply_timestamp_seconds{number="17"}')),
        what="the apply's series",
    )
    end = int(time.time()) + 1
    url = f"{watched.app.url}/api/v1/dashboards/main?from={end - 1291}&to={end}"
    told = httpx.get(url, trust_env=False, timeout=60).json()
    assert [(a["number"], a["user"]) for a in told["applies"]] == [(17, "花子")]
    drawn = [any(v is not None for s in p["series"] for v in s["values"]) for p in told["panels"]]
    assert sum(drawn) > len(drawn) / 2, "the moments asked for are those that Prometheus answers for"


def test_the_apps_own_page_draws_every_panel(watched: Watched, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    shots = Path(os.environ.get("TECHSAPO_SCREENSHOTS", tmp_path))
    with browser() as open_window:
        window: Window = open_window(1360, 900)
        page = window.page
        for dashboard in HERE:
            name = dashboard.name
            traffic(watched)
            page.goto(f"{watched.app.url}/dashboards#{name}")
            page.reload()
            expect(page.locator(".panel")).to_have_count(len(dashboard.panels))
            drawn = page.locator(".panel").filter(has=page.locator("svg, .stat"))
            expect(drawn).to_have_count(len(dashboard.panels), timeout=15_000)
            page.screenshot(path=shots / f"dashboard-{name}.png", full_page=True)
        page.goto(f"{watched.app.url}/dashboards#cost")
        page.locator("#provider").select_option("sim-b")
        bars = page.locator(".bars")
        expect(bars.filter(has_text="sim-b")).to_have_count(3, timeout=15_000)
        expect(bars.filter(has_text="sim-a")).to_have_count(0)
        # A threshold is the spec's, not the catalogue's.
        told = httpx.get(f"{watched.app.url}/api/v1/dashboards", trust_env=False, timeout=60).json()
        cost = next(d for d in told["dashboards"] if d["name"] == "cost")
        assert cost["rows"][0]["panels"][0]["warning"] == 70
        chart = page.locator("svg.chart").first
        chart.focus()
        page.keyboard.press("End")
        expect(page.locator(".tip:visible").first).to_contain_text(re.compile(r"\$\d"))
        page.screenshot(path=shots / "dashboard-keyboard.png")
        watched.prometheus.kill()
        expect(page.locator("#status")).to_contain_text("Prometheus", timeout=20_000)
        page.reload()
        page.wait_for_selector(".stat")
        assert page.locator("#tabs a").count() == 1, "the live view needs no Prometheus"
        window.assert_clean(allowed="503")
