"""A real MariaDB that hangs: what its exporter, Prometheus and the rules make of it."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx
import pytest
import servers
import yaml
from monitoring_stack import spec_of

from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.services.prometheus.alert_rules import alert_rule

pytestmark = pytest.mark.lab


def test_a_database_that_hangs_is_told_as_one_that_is_down(tmp_path: Path) -> None:
    spec = spec_of(monitoring={"prometheus": {"scrape_interval": "1s", "evaluation_interval": "1s"}})
    expr = alert_rule(spec, alerts()["MysqlDown"], [])["expr"]
    port = servers.free_port()
    login = tmp_path / "my.cnf"
    job = {
        "job_name": "mysqld-exporter",
        "static_configs": [{"targets": [f"127.0.0.1:{port}"], "labels": {"instance": "mysqld-exporter"}}],
    }
    config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}
    with servers.mariadb(tmp_path / "mysql") as database:
        login.write_text(f"[client]\nuser=root\npassword=lab-root\nhost=127.0.0.1\nport={database.port}\n")
        argv = [
            servers.binary("prometheus-mysqld-exporter"), f"--web.listen-address=127.0.0.1:{port}",
            f"--config.my-cnf={login}",
        ]  # fmt: skip
        ready = f"http://127.0.0.1:{port}/"
        with (
            servers.running(argv, tmp_path / "exporter", port, lambda: servers.http_ok(ready)),
            servers.prometheus(yaml.safe_dump(config), tmp_path / "prometheus") as prometheus,
        ):

            def holds(query: str) -> bool:
                url = f"{prometheus.url}/api/v1/query"
                answer = httpx.get(url, params={"query": query}, timeout=60, trust_env=False)
                return bool(answer.raise_for_status().json()["data"]["result"])

            servers.wait_for(lambda: holds("mysql_up == 1"), timeout=60, what="the database is scraped")
            assert not holds(expr)
            database.process.send_signal(signal.SIGSTOP)
            try:
                servers.wait_for(lambda: holds(expr), timeout=60, what="it is told that it hangs")
                assert holds("up == 0")
            finally:
                database.process.send_signal(signal.SIGCONT)
            servers.wait_for(lambda: not holds(expr), timeout=60, what="it is told that it is back")
