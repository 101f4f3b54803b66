"""Three Prometheis, as on five hosts: a real one takes in what two others say of one episode."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import servers
import yaml
from machines_spec import machines_files, machines_topology
from servers import wait_for

from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.catalogue.series import EPISODE_SINCE, OTHERS_SINCE
from techsapo_ops.catalogue.yaml_text import read_yaml

pytestmark = pytest.mark.lab

FIVE = {
    name: {"address": f"10.77.0.{number}", "docker": f"unix:///lab/{name}/docker.sock"}
    for number, name in enumerate("abcde", 1)
}


class _Federate(BaseHTTPRequestHandler):
    """What a Prometheus answers by /federate: its series, with the external label that says which it is."""

    def __init__(self, name: str, since: int, *given: object) -> None:
        self._name, self._since = name, since
        super().__init__(*given)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        series = f'{EPISODE_SINCE}{{alertname="AppDown",instance="",replica="{self._name}"}} {self._since}'
        text = f"# TYPE {EPISODE_SINCE} untyped\n{series}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextmanager
def federating(name: str, since: int) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Federate, name, since))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_the_earliest_of_what_two_others_say_holds(tmp_path: Path) -> None:
    files = machines_files(machines_topology(hosts=FIVE))
    config = read_yaml(files["prometheus/on-c/prometheus.yml"])
    job = config["scrape_configs"][-1]
    recording = read_yaml(files["prometheus/rules/recording.yml"])
    (rule,) = [r for g in recording["groups"] for r in g["rules"] if r["record"] == EPISODE_SINCE]
    # Here the alert fires from the start on, since when the own rule sees it, which is later than both.
    alert = {"alert": "AppDown", "expr": "vector(1)"}
    groups = [{"name": "alert", "rules": [alert]}, {"name": "recording", "rules": [rule]}]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": groups}))
    with federating("prometheus-a", 1_700_000_200) as a, federating("prometheus-b", 1_700_000_100) as b:
        job["static_configs"] = [{"targets": [a]}, {"targets": [b]}]
        job.pop("basic_auth", None)
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(tmp_path / "rules.yml")],
            "scrape_configs": [job],
        }
        with servers.prometheus(yaml.safe_dump(config), tmp_path / "prometheus") as server:
            asked = Prometheus(server.url, timeout=10)
            wait_for(lambda: len(asked.query(OTHERS_SINCE)) == 2, what="both others are heard")
            wait_for(
                lambda: [s.value for s in asked.query(EPISODE_SINCE)] == [1_700_000_100.0],
                what="the earliest",
            )
            (kept,) = asked.query(EPISODE_SINCE)
            assert "replica" not in kept.labels
            assert asked.query("count(up == 1)")[0].value == 2.0
            assert "duplicate" not in server.log().lower()
