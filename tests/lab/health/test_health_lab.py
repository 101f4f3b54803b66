"""A health check of a small stack of real servers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import peers
import pytest
import servers
from fakes.open_stacks import Seen, open_stack

from techsapo_ops.adapters.host_facts import HostFacts
from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.health.check import check
from techsapo_ops.health.report import HealthReport, Status
from techsapo_ops.services.registry import resolve
from techsapo_ops.services.scheduler import heartbeat
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.places import NATIVE

pytestmark = pytest.mark.lab

PROMETHEUS = """
global: {{scrape_interval: 1s}}
rule_files: [{1}]
scrape_configs: [{{job_name: self, static_configs: [{{targets: ["127.0.0.1:{0}"]}}]}}]
"""
ALERTMANAGER = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"
BINARIES = dict.fromkeys(("redis-server", "mariadbd", "prometheus", "prometheus-alertmanager"), "/usr/bin/x")


def test_a_stack_is_healthy_then_degraded_then_down_as_its_parts_die(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "state", tmp_path / "state/generated")
    layout.mysql_password.parent.mkdir(parents=True)
    port = servers.free_port()
    # Health asks whether each alert's rule is loaded; none of these fires.
    rules = [{"alert": name, "expr": "vector(0) > 1"} for name in alerts()]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "all", "rules": rules}]}))
    with (
        servers.redis(tmp_path / "redis", password="geheim") as redis,
        servers.mariadb(tmp_path / "mysql") as mysql,
        servers.prometheus(
            PROMETHEUS.format(port, tmp_path / "rules.yml"), tmp_path / "prometheus", port=port
        ) as prometheus,
        servers.alertmanager(ALERTMANAGER, tmp_path / "alertmanager") as alertmanager,
    ):
        layout.mysql_password.write_text(f"{mysql.password}\n")
        with peers.peer(peers.http("200 OK", b'{"status": "healthy"}')) as app:
            spec = Spec.model_validate(
                {
                    "project": "techsapo",
                    "app": {"port": app},
                    "redis": {"port": redis.port, "password": "geheim"},
                    "mysql": {"port": mysql.port, "user": "root"},
                    "monitoring": {"prometheus": {"port": port}, "alertmanager": {"port": alertmanager.port}},
                }
            )
            topology = resolve(spec, NATIVE, layout, HostFacts("python3", binaries=BINARIES))
            heartbeat.beat(layout.textfiles)

            def look() -> HealthReport:
                return check(open_stack(topology, Seen()), timeout=5, now=datetime.now(UTC))

            def statuses() -> dict[str, str]:
                return {p.name: p.status.value for p in look().probes}

            target = f"target self 127.0.0.1:{port}"
            servers.wait_for(lambda: statuses().get(target) == "healthy", what="first scrape")
            report = look()
            assert report.status is Status.HEALTHY, report
            assert {p.name for p in report.probes if p.status == "healthy"} == {
                "app", "redis", "mysql", "prometheus", target, "alertmanager", "disk", "scheduler",
            }  # fmt: skip
            redis.kill()
            mysql.kill()
            report = look()
            assert report.status is Status.DEGRADED
            assert {p.name: p.detail for p in report.failing} == {
                "redis": "connection refused",
                "mysql": "connection refused",
            }
            prometheus.kill()
            assert {p.name for p in look().failing} == {"redis", "mysql", "prometheus"}
        assert look().status is Status.DOWN
