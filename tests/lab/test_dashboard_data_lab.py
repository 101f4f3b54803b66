"""Every panel has data: the real app under traffic, scraped by a real Prometheus with the generated rules."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import servers
from monitoring_stack import monitoring_files, spec_of
from orchestrator import serving

from techsapo_ops.catalogue.dashboards import dashboards

pytestmark = pytest.mark.lab


def ask(url: str, prompt: str) -> None:
    body = json.dumps({"prompt": prompt, "task_type": "basic"}).encode()
    request = urllib.request.Request(f"{url}/api/v1/generate", body, {"content-type": "application/json"})
    urllib.request.urlopen(request, timeout=10).close()


def test_no_panel_is_dead_once_questions_are_asked(tmp_path: Path) -> None:
    node_port, prometheus_port = servers.free_port(), servers.free_port()
    node = [servers.binary("prometheus-node-exporter"), f"--web.listen-address=127.0.0.1:{node_port}"]
    node_ready = f"http://127.0.0.1:{node_port}"
    with (
        servers.running(node, tmp_path / "node", node_port, lambda: servers.http_ok(node_ready)),
        serving(tmp_path / "app") as app,
    ):
        monitoring = {
            "prometheus": {"port": prometheus_port, "scrape_interval": "1s", "evaluation_interval": "1s"},
            "alertmanager": {"enabled": False},
            "grafana": {"enabled": False},
            "exporters": {"node": {"port": node_port}},
        }
        spec = spec_of(
            {"project": "t", "app": {"port": app.port}, "redis": {"enabled": False}}, monitoring=monitoring
        )
        files = monitoring_files(spec)
        for kind in ("alerts", "recording"):
            path = tmp_path / "prometheus" / "rules" / f"{kind}.yml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[f"prometheus/rules/{kind}.yml"].content, encoding="utf-8")
        config = files["prometheus/prometheus.yml"].content
        with servers.prometheus(config, tmp_path / "prometheus", port=prometheus_port) as prometheus:

            def query(expr: str) -> dict[str, Any]:
                url = f"{prometheus.url}/api/v1/query?{urllib.parse.urlencode({'query': expr})}"
                with urllib.request.urlopen(url, timeout=5) as response:
                    answer: dict[str, Any] = json.load(response)
                return answer

            def scraped() -> bool:
                return bool(query('techsapo_build_info{job="techsapo-app"}')["data"]["result"])

            servers.wait_for(scraped, timeout=40, what="first scrape")
            asked = iter(range(10_000))

            def panels_without_data() -> list[str]:
                ask(app.url, f"Dockerコンテナが起動しない {next(asked)}")
                return [
                    f"{panel.title['en']}: {expr}"
                    for dashboard in dashboards().values()
                    for panel in dashboard.panels
                    for expr in (
                        q.expr.replace("$__rate_interval", "10s").replace("$instance", ".*")
                        for q in panel.queries
                    )
                    if not (answer := query(expr))["data"]["result"] or answer.get("warnings")
                ]

            servers.wait_for(lambda: not panels_without_data(), timeout=30, what="data in every panel")
            assert panels_without_data() == []
            confidence = query("techsapo:wallbounce_confidence:mean5m")["data"]["result"][0]["value"][1]
            assert 0 < float(confidence) <= 1
