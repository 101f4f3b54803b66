"""The real blackbox exporter on generated modules, before a front that is in order, and then is not."""

from __future__ import annotations

import http.server
import re
import shutil
import ssl
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import servers
from tls_orchestrators import self_signed

from techsapo_ops.adapters.host_facts import HostFacts
from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.catalogue.dashboards import dashboards
from techsapo_ops.catalogue.series import metric_names, recording_rules
from techsapo_ops.render.templates import Templates
from techsapo_ops.services.blackbox.kind import BLACKBOX_YML, blackbox_files, scrape_targets
from techsapo_ops.services.registry import binary_names, resolve
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.places import places_of
from techsapo_ops.stack.topology import Topology

pytestmark = pytest.mark.lab

NAME = "ops.example.com"
FOLDER = "プロ %h\"ト'$x"


class Front:
    """What stands in for nginx: it notes by which name it was asked, and answers as it is told."""

    def __init__(self, certificate: Path | None, port: int = 0) -> None:
        self.status, self.wait, self.location = 200, 0.0, ""
        self.hosts: list[str] = []
        self.asked_for: list[str | None] = []
        front = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                front.hosts.append(self.headers["Host"])
                time.sleep(front.wait)
                self.send_response(front.status if self.path == "/ping" else 404)
                if front.location:
                    self.send_header("Location", front.location)
                self.end_headers()

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port: int = self.server.server_address[1]
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate / "fullchain.pem", certificate / "privkey.pem")
            context.sni_callback = lambda _, name, __: self.asked_for.append(name)
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )

    @contextmanager
    def serving(self) -> Iterator[Front]:
        thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self.server.shutdown()
            self.server.server_close()
            thread.join()


class Asking:
    """The exporter of one stack: what it finds when Prometheus's job asks it."""

    def __init__(self, topology: Topology, url: str) -> None:
        self._targets = {t["labels"]["name"]: t["labels"] for t in scrape_targets(topology)}
        self._url = url

    def find(self, name: str = "nginx", timeout: float = 3.0) -> dict[str, float]:
        """Each series of a probe with its value."""
        labels = self._targets[name]
        asked = {"module": labels["__param_module"], "target": labels["__param_target"]}
        request = urllib.request.Request(
            f"{self._url}/probe?{urllib.parse.urlencode(asked)}",
            headers={"X-Prometheus-Scrape-Timeout-Seconds": str(timeout)},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            lines = re.findall(r"^(\w+(?:\{[^\n]*\})?) (\S+)$", answer.read().decode(), re.MULTILINE)
        return {series: float(value) for series, value in lines}

    def well(self, name: str = "nginx") -> bool:
        return self.find(name)["probe_success"] == 1


Asks = Callable[..., Asking]


@pytest.fixture
def asks(tmp_path: Path) -> Iterator[Asks]:
    """Starts the exporter of a spec in a folder of that strange name."""
    running = []
    root = tmp_path / FOLDER

    def start(**sections: Any) -> Asking:
        port = servers.free_port()
        exporters = {"blackbox": port}
        monitoring = {"exporters": exporters, **sections.pop("monitoring", {})}
        spec = Spec.model_validate({"project": "t", "monitoring": monitoring, **sections})
        binaries = {name: f"/usr/bin/{name}" for name in binary_names()}
        layout = Layout(root / ".techsapo", root, spec=root / "techsapo.yaml")
        topology = resolve(spec, places_of("native"), layout, HostFacts("python3", binaries=binaries))
        (file,) = blackbox_files(topology, Templates())
        path = root / BLACKBOX_YML
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.content, encoding="utf-8")
        argv = [
            servers.binary("prometheus-blackbox-exporter"),
            f"--config.file={path}", "--log.prober=error", f"--web.listen-address=127.0.0.1:{port}",
        ]  # fmt: skip
        url = f"http://127.0.0.1:{port}"
        started = servers.running(
            argv, tmp_path / "blackbox", port, lambda: servers.http_ok(f"{url}/-/healthy")
        )
        started.__enter__()
        running.append(started)
        return Asking(topology, url)

    yield start
    for each in running:
        each.__exit__(None, None, None)


def stored(tmp_path: Path, *names: str, days: int = 30) -> Path:
    """A certificate where the stack keeps that of the name `site`."""
    return self_signed(tmp_path / FOLDER / ".techsapo" / "certs" / "site", *names, days=days)


def secured(front: Front) -> dict[str, Any]:
    return {
        "nginx": {"tls_listen": front.port, "server_name": NAME},
        "certificates": {"site": {"source": "files", "certificate_file": "a", "private_key_file": "b"}},
    }


def test_the_front_is_asked_by_the_outside_name_with_its_own_certificate(asks: Asks, tmp_path: Path) -> None:
    with Front(stored(tmp_path, NAME)).serving() as front:
        found = asks(**secured(front)).find()
        assert found["probe_success"] == 1
        assert found["probe_http_ssl"] == 1
        assert found["probe_ssl_last_chain_expiry_timestamp_seconds"] > time.time() + 20 * 86400
        assert (set(front.hosts), set(front.asked_for)) == ({NAME}, {NAME})


def test_a_certificate_for_another_name_out_of_date_or_not_the_stored_one_fails(
    asks: Asks, tmp_path: Path
) -> None:
    for name, days in (("other.example.com", 30), (NAME, -1)):
        folder = stored(tmp_path, name, days=days)
        with Front(folder).serving() as front:
            assert not asks(**secured(front)).well()
            assert front.hosts == []
        shutil.rmtree(folder)
    stored(tmp_path, NAME)
    with Front(self_signed(tmp_path / "elsewhere", NAME)).serving() as front:
        assert not asks(**secured(front)).well()


def test_a_renewed_certificate_is_known_without_a_reload(asks: Asks, tmp_path: Path) -> None:
    folder = stored(tmp_path, NAME)
    with Front(folder).serving() as front:
        asking = asks(**secured(front))
        assert asking.well()
    shutil.rmtree(folder)
    with Front(self_signed(folder, NAME), front.port).serving():
        assert asking.well()


def test_any_other_answer_than_200_fails_a_redirect_too(asks: Asks) -> None:
    with Front(None).serving() as front:
        asking = asks(nginx={"enabled": True, "listen": front.port, "server_name": NAME})
        assert asking.well()
        front.location = f"http://127.0.0.1:{front.port}/elsewhere"
        for status in (302, 404, 503):
            front.status = status
            found = asking.find()
            assert (found["probe_success"], found["probe_http_status_code"]) == (0, status)
        assert set(front.hosts) == {NAME}


def test_a_slow_answer_is_measured_and_one_that_does_not_come_fails(asks: Asks) -> None:
    with Front(None).serving() as front:
        asking = asks(nginx={"enabled": True, "listen": front.port})
        front.wait = 1.2
        found = asking.find()
        assert found["probe_success"] == 1
        assert found["probe_duration_seconds"] >= 1.2
        assert asking.find(timeout=1.0)["probe_success"] == 0
    assert not asking.well()


def test_pages_connections_and_tls_of_the_spec_are_told_apart(asks: Asks, tmp_path: Path) -> None:
    folder = self_signed(tmp_path / "theirs", "mail.example.com")
    (tmp_path / FOLDER).mkdir(exist_ok=True)
    (tmp_path / FOLDER / "their-ca.pem").write_bytes((folder / "fullchain.pem").read_bytes())
    with Front(folder).serving() as theirs, Front(None).serving() as plain:
        theirs.status = 401
        known = {"ca_file": "their-ca.pem", "server_name": "mail.example.com"}
        page = f"https://127.0.0.1:{theirs.port}/ping"
        probes = [
            {"name": "page", "url": page, "status": [401], **known},
            {"name": "strict", "url": page, **known},
            {"name": "unknown", "url": page, "status": [401]},
            {"name": "tls", "url": f"tls://127.0.0.1:{theirs.port}", **known},
            {"name": "wrong-name", "url": f"tls://127.0.0.1:{theirs.port}", "ca_file": "their-ca.pem"},
            {"name": "tcp", "url": f"tcp://127.0.0.1:{plain.port}"},
            {"name": "not-tls", "url": f"tls://127.0.0.1:{plain.port}"},
            {"name": "nobody", "url": f"tcp://127.0.0.1:{servers.free_port()}"},
            {"name": "moved", "url": f"http://127.0.0.1:{plain.port}/ping", "status": [301]},
        ]
        plain.status, plain.location = 301, "http://127.0.0.1:9/"
        asking = asks(monitoring={"probes": probes})
        assert [p["name"] for p in probes if asking.well(str(p["name"]))] == ["page", "tls", "tcp", "moved"]
        until = asking.find("tls")["probe_ssl_last_chain_expiry_timestamp_seconds"]
        assert time.time() + 25 * 86400 < until < time.time() + 31 * 86400


def test_what_rules_alerts_and_panels_read_of_probes_is_really_exported(asks: Asks, tmp_path: Path) -> None:
    expressions = [
        a.expression(jobs=["prometheus"], machines=3 if a.machines else 0) for a in alerts().values()
    ]
    expressions += [r.expr for rules in recording_rules().values() for r in rules]
    expressions += [q.expr for d in dashboards().values() for p in d.panels for q in p.queries]
    read = {n for e in expressions for n in metric_names(e) if n.startswith("probe_")}
    assert read
    with Front(stored(tmp_path, NAME)).serving() as front:
        found = asks(**secured(front)).find()
    assert read - {series.partition("{")[0] for series in found} == set()
