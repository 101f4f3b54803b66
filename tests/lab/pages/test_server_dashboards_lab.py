"""No panel about a server is empty: nginx, Redis, MariaDB and probes, with their real exporters and a real
Prometheus on the generated configuration.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis as redis_client
import servers
from alert_servers import Around
from monitoring_stack import monitoring_files, spec_of, topology_of, write
from rows import each_row

from techsapo_ops.catalogue.dashboards import Dashboard, dashboards
from techsapo_ops.render.stack import secret_files
from techsapo_ops.render.templates import Templates
from techsapo_ops.services.blackbox.kind import blackbox_files
from techsapo_ops.services.registry import programs

pytestmark = pytest.mark.lab

OF_SERVERS = [d for d in dashboards().values() if d.needs not in {None, "node-exporter"}]
WITHOUT_TLS = {"Time left on certificates"}
"""Nothing speaks TLS here; tests/lab/alerts/test_blackbox_lab.py reads these series."""


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    root = tmp_path_factory.mktemp("servers")
    port, blackbox = servers.free_port(), servers.free_port()
    with ExitStack() as stack:
        around = Around(root)
        monitoring: dict[str, Any] = {
            "prometheus": {
                "port": port,
                "scrape_interval": "1s",
                "login": False,
            },
            "alertmanager": {"enabled": False},
            "grafana": {"enabled": False},
            "exporters": {
                "node": None,
                "blackbox": blackbox,
                **around.exporters(),
            },
        }
        spec = spec_of(
            {
                "project": "t",
                "engine": "native",
                "app": {"instances": [{"port": servers.free_port()} for _ in range(2)]},
                **around.sections(),
            },
            monitoring=monitoring,
        )
        topology = topology_of(spec, root)
        write(secret_files(topology), root)
        around.watch(spec, stack)
        write(blackbox_files(topology, Templates()), root)
        (program,) = [p for p in programs(topology) if p.service == "blackbox-exporter"]
        program.directory.mkdir(parents=True, exist_ok=True)
        argv = [servers.binary(Path(program.argv[0]).name), *program.argv[1:]]
        asked = f"http://127.0.0.1:{blackbox}/-/healthy"
        stack.enter_context(
            servers.running(argv, root / "blackbox", blackbox, lambda: servers.http_ok(asked))
        )
        files = monitoring_files(spec, root)
        write((file for path, file in files.items() if path.startswith("prometheus/")), root)
        with redis_client.Redis(port=around.ports["redis"]) as client:
            client.set("kept", "value", ex=600)
        config = files["prometheus/prometheus.yml"].content
        yield stack.enter_context(servers.prometheus(config, root / "prometheus", port=port))


def without_data(prometheus: servers.Server, dashboard: Dashboard) -> list[str]:
    """What was asked in vain, or with a warning."""
    told = []
    for panel in dashboard.panels:
        if panel.title["en"] in WITHOUT_TLS:
            continue
        for query in panel.queries:
            expr = urllib.parse.quote(query.promql(rate_interval="10s"))
            url = f"{prometheus.url}/api/v1/query?query={expr}"
            answer = httpx.get(url, timeout=60, trust_env=False).json()
            # Exporters have counters whose names end otherwise than Prometheus expects: no more than a hint.
            warned = [w for w in answer.get("warnings", ()) if not w.startswith("PromQL info:")]
            if not answer.get("data", {}).get("result") or warned:
                told.append(f"{panel.title['en']}: {query.expr} {answer.get('error', '')}")
    return told


@each_row("dashboard", OF_SERVERS, ids=lambda d: d.name)
def test_no_panel_about_a_server_is_empty(prometheus: servers.Server, dashboard: Dashboard) -> None:
    missing = [""]

    def complete() -> bool:
        missing[:] = without_data(prometheus, dashboard)
        return not missing

    try:
        servers.wait_for(complete, what="data")
    except AssertionError:
        assert missing == []
