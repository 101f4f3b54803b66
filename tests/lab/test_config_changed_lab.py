"""ConfigChanged, by a real Prometheus that is restarted."""

from __future__ import annotations

import time
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

            # The second round of all rules: the alert has read what the first one recorded.
            twice = f"max(timestamp(techsapo:config:info)) > {begun + 2.5}"
            servers.wait_for(lambda: ask(twice) != [], timeout=60, what="its rules have run")
            firing = ask('ALERTS{alertname="ConfigChanged"}')
            return [alert["metric"]["file"] for alert in firing]

    assert changes() == []
    assert changes() == []
    assert changes(MemoryHigh={"threshold": 85}) == ["prometheus/rules/alerts.yml"]
