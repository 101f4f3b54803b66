"""ConfigChanged, by a real Prometheus that is restarted."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import servers
from monitoring_stack import monitoring_files, spec_of, write

pytestmark = pytest.mark.lab


def test_a_restart_of_prometheus_is_no_change_of_its_configuration_and_another_rule_is(
    tmp_path: Path,
) -> None:
    port, app = servers.free_port(), servers.free_port()

    def changes(**alerts: Any) -> list[str]:
        """Start it with these changes to alerts; the files that it calls changed once its rules have run."""
        spec = spec_of(
            {
                "project": "t",
                "redis": {"enabled": False},
                "app": {"port": app},
                "monitoring": {
                    "prometheus": {"port": port, "scrape_interval": "1s", "evaluation_interval": "1s"},
                    "alertmanager": {"enabled": False},
                    "grafana": {"enabled": False},
                    "exporters": {"node": {"enabled": False}},
                    "alerts": alerts,
                },
            }
        )
        files = monitoring_files(spec, tmp_path)
        write([f for f in files.values() if f.path.startswith("prometheus/")], tmp_path)
        config = files["prometheus/prometheus.yml"].content
        begun = time.time()
        with servers.prometheus(config, tmp_path / "prometheus", port=port) as prometheus:

            def ask(query: str) -> list[dict[str, Any]]:
                url = f"{prometheus.url}/api/v1/query"
                answer = httpx.get(url, params={"query": query}, timeout=60, trust_env=False)
                found: list[dict[str, Any]] = answer.raise_for_status().json()["data"]["result"]
                return found

            def read() -> float:
                """When the alert was last evaluated."""
                groups = httpx.get(f"{prometheus.url}/api/v1/rules", timeout=60, trust_env=False).json()
                rules = (rule for group in groups["data"]["groups"] for rule in group["rules"])
                times = (rule["lastEvaluation"] for rule in rules if rule["name"] == "ConfigChanged")
                return min(datetime.fromisoformat(each[:19] + "+00:00").timestamp() for each in times)

            new = f"max(timestamp(techsapo:config:info)) > {begun}"
            servers.wait_for(lambda: ask(new) != [], timeout=90, what="what runs is recorded")
            recorded = time.time()
            # The second time since then: what the first one found is stored.
            servers.wait_for(lambda: read() > recorded + 2, timeout=90, what="the alert has read it")
            firing = ask('ALERTS{alertname="ConfigChanged"}')
            return [alert["metric"]["file"] for alert in firing]

    assert changes() == []
    assert changes() == []
    assert changes(MemoryHigh={"threshold": 85}) == ["prometheus/rules/alerts.yml"]
