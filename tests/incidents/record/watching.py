"""What watches the recorded machine: exporters, an exporter of the service manager, and Prometheus."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.incidents.record.servers import ETC, OUTSIDE, PORTS, unit_of
from tests.incidents.record.world import HOST, World, processes_of

RULES = yaml.safe_load((ETC / "rules.yaml").read_text())
EXPORTERS: Mapping[str, Mapping[str, Any]] = yaml.safe_load((ETC / "watching.yaml").read_text())
_KEPT_BY = ["__name__", "mountpoint", "mode", "handler", "error", "db"]
_UNITS_PORT = 9256


class UnitPage(BaseHTTPRequestHandler):
    """What each unit uses, as systemd's exporter shows it."""

    world: World

    def do_GET(self) -> None:
        rows = []
        for unit in list(self.world.units.values()):
            if unit.name in OUTSIDE:
                continue
            processes = processes_of(unit)
            label = f'{{unit="{unit.name}"}}'
            rows.append(f"unit_up{label} {int(bool(processes))}")
            rows.append(f"unit_restarts_total{label} {unit.count}")
            if unit.name in PORTS or unit.name.endswith("exporter"):
                continue
            try:
                seconds = sum(sum(one.cpu_times()[:2]) for one in processes)
                size = sum(one.memory_info().rss for one in processes)
            except psutil.Error:  # it ended meanwhile
                continue
            rows += [f"unit_cpu_seconds_total{label} {seconds:.2f}", f"unit_resident_bytes{label} {size}"]
        for group in self.world.cpu_groups:
            stat = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
            label = f'{{group="{group.name.rpartition("-")[2]}"}}'
            rows.append(f"unit_throttled_seconds_total{label} {int(stat['throttled_time']) / 1e9}")
        body = ("\n".join(rows) + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _scraped(name: str, port: int, exporter: str = "", **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"job_name": name, **more}
    made["static_configs"] = [{"targets": [f"127.0.0.1:{port}"], "labels": {"instance": HOST}}]
    if exporter:
        keep = EXPORTERS[exporter]["keep"].replace(" ", "")
        made["metric_relabel_configs"] = [
            {"source_labels": _KEPT_BY, "regex": f"({keep});.*", "action": "keep"}
        ]
    return made


def _probes(probes: Mapping[str, str]) -> list[dict[str, Any]]:
    made = []
    for target, module in probes.items():
        asked = {"module": [module], "target": [target]}
        seldom = {"scrape_interval": "6s", "scrape_timeout": "5s"}
        job = _scraped(f"probe {target}", 9115, "probe", metrics_path="/probe", params=asked, **seldom)
        job["static_configs"][0]["labels"] |= {"job": "probe", "target": target}
        made.append(job)
    return made


def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    labels = {
        "severity": rule.get("severity", "critical"),
        "service": rule.get("service", "{{ $labels.job }}"),
    }
    summary = {"summary": rule["summary"]}
    return {
        "alert": rule["alert"],
        "expr": rule["expr"],
        "for": rule.get("for", "6s"),
        "labels": labels,
        "annotations": summary,
    }


def watch(world: World, probes: Mapping[str, str]) -> None:
    """Start the exporters, and Prometheus, which asks them and the services every two seconds."""
    shutil.copy(ETC / "blackbox.yml", "/etc/shop/blackbox.yml")
    Path("/etc/shop/watcher.cnf").write_text("[client]\nuser=watcher\npassword=watching\nhost=127.0.0.11\n")
    jobs = [_scraped(name, PORTS[name]) for name in world.units if name in PORTS]
    replicated = "replica" in world.units
    for name, exporter in EXPORTERS.items():
        argv = exporter["argv"].split()
        if name == "mariadb":
            argv.append(f"--{'' if replicated else 'no-'}collect.slave_status")
        unit_of(world, exporter.get("name", f"{name}-exporter"), *argv)
        jobs += _probes(probes) if name == "probe" else [_scraped(name, exporter["port"], name)]
    if replicated:
        asked = {"target": ["127.0.0.13:3306"], "collect[]": ["slave_status", "global_status"]}
        jobs.append(_scraped("replica", 9104, "mariadb", metrics_path="/probe", params=asked))
    UnitPage.world = world
    server = ThreadingHTTPServer(("127.0.0.1", _UNITS_PORT), UnitPage)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    jobs.append(_scraped("units", _UNITS_PORT))
    every = {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "2s"}
    config = {"global": every, "rule_files": ["/etc/prometheus/rules.yml"], "scrape_configs": jobs}
    Path("/etc/prometheus").mkdir(exist_ok=True)
    Path("/etc/prometheus/prometheus.yml").write_text(json.dumps(config))
    groups = [{"name": "shop", "rules": [_rule(rule) for rule in RULES]}]
    Path("/etc/prometheus/rules.yml").write_text(json.dumps({"groups": groups}))
    world.folder("/var/lib/prometheus")
    files = ("--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/var/lib/prometheus")
    unit_of(
        world, "prometheus", "prometheus", *files, "--web.listen-address=127.0.0.1:9090", "--log.level=warn"
    )
