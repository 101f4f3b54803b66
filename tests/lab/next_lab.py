"""A stack whose alerts are acknowledged: a target that fails on demand, and the servers that watch it.

Ten minutes, for which an episode goes on while its alert is away, are twelve seconds here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import servers
import warm
import yaml
from alert_lab import Receiver, receiving
from fakes.notified import notified
from monitoring_stack import alerts_off, episodes_alone, monitoring_files, spec_of, topology_of, write

from techsapo_ops.adapters.alertmanager import Alertmanager
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.render.stack import secret_files
from techsapo_ops.services.alertmanager.acknowledging import Episode, acknowledgements, episodes

AFTER = 5
"""Seconds until the next receiver is told; the one after that is told in twice the time."""
AWAY = 12


@dataclass
class Scraped:
    """A target with metrics of its own; `metrics` is what it answers, None: an error."""

    port: int = field(default_factory=servers.free_port)
    metrics: str | None = "up_since 1\n"

    @contextmanager
    def running(self) -> Iterator[None]:
        target = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None: ...

            def do_GET(self) -> None:
                body = (target.metrics or "").encode()
                self.send_response(200 if target.metrics is not None else 500)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def monitoring(port: Mapping[str, int], repeat_interval: str = "1h") -> dict[str, Any]:
    """That section of a spec whose Prometheus and Alertmanager listen at these ports and wait for nothing."""
    return {
        "prometheus": {
            "port": port["prometheus"], "scrape_interval": "1s", "login": False,
        },
        "alertmanager": {
            "port": port["alertmanager"], "group_wait": "0s", "group_interval": "1s",
            "repeat_interval": repeat_interval, "login": False,
        },
        "grafana": {"enabled": False},
        "exporters": {"node": None, "blackbox": None},
    }  # fmt: skip


class Stack:
    """Prometheus and Alertmanager on generated files, a webhook for each list of receivers, one fake app."""

    def __init__(self, directory: Path, stack: ExitStack, **notifications: Any) -> None:
        self.directory = directory
        self.app = Scraped()
        self.told: Receiver = stack.enter_context(receiving())
        port = {name: servers.free_port() for name in ("prometheus", "alertmanager")}
        self.data: dict[str, Any] = {
            "project": "t", "engine": "native", "locale": "en", "redis": {"enabled": False},
            "app": {"port": self.app.port},
            "monitoring": {
                **monitoring(port),
                # It comes and goes here, which is an alert of its own.
                "alerts": {
                    **alerts_off("ConfigChanged", "TargetDown"),
                    "AppDown": {"for": "1s", "keep_firing_for": "0s", "threshold": 100},
                },
            },
            "notifications": notified({
                "critical": [{"kind": "webhook", "url": self.told.url("critical")}],
                **{
                    severity: [{"kind": "webhook", "url": self.told.url(severity)}]
                    for severity in ("warning", "info")
                },
                "next": [
                    {"after": f"{(n + 1) * AFTER}s", "receivers": [
                        {"kind": "webhook", "url": self.told.url(f"next-{n}")}
                    ]}
                    for n in range(2)
                ],
                **notifications,
            }),
        }  # fmt: skip
        (directory / "techsapo.yaml").write_text(yaml.safe_dump(self.data), encoding="utf-8")
        spec = spec_of(self.data)
        files = monitoring_files(spec, directory)
        write(files.values(), directory)
        write(secret_files(topology_of(spec, directory)), directory)
        recording = directory / "prometheus/rules/recording.yml"
        recording.write_text(episodes_alone(recording.read_text(encoding="utf-8"), AWAY), encoding="utf-8")
        self._port = port
        self._config = {kind: files[f"{kind}/{kind}.yml"].content for kind in port}
        self._servers: dict[str, ExitStack] = {}
        stack.enter_context(self.app.running())
        stack.callback(self._stop)
        for kind in port:
            self.start(kind)

    def start(self, kind: str) -> None:
        """Start a server; one that runs first ends as by SIGTERM."""
        if kind in self._servers:
            self._servers.pop(kind).close()
        own, folder, port = ExitStack(), self.directory / kind, self._port[kind]
        if kind == "prometheus":
            # It finds its Alertmanager after some seconds, and tells what fired before only a minute later.
            flags = ["--rules.alert.resend-delay=2s"]
            own.enter_context(servers.prometheus(self._config[kind], folder, port=port, flags=flags))
        else:
            own.enter_context(servers.alertmanager(self._config[kind], folder, port=port))
        self._servers[kind] = own

    def _stop(self) -> None:
        for own in self._servers.values():
            own.close()

    @property
    def prometheus(self) -> Prometheus:
        return Prometheus(f"http://127.0.0.1:{self._port['prometheus']}")

    @property
    def alertmanager(self) -> Alertmanager:
        return Alertmanager(f"http://127.0.0.1:{self._port['alertmanager']}")

    def techsapo(self, *arguments: str, code: int = 0) -> str:
        """Run the command line on this stack; what it prints, both streams."""
        argv = [sys.executable, "-m", "techsapo_ops", *arguments]
        done = warm.run([*argv, "--file", self.directory / "techsapo.yaml"], text=True)
        said = done.stdout + done.stderr
        assert done.returncode == code, said
        return said

    def break_app(self) -> None:
        """The app stops answering; wait until somebody is told and Prometheus counts the time."""
        told = self.notes("critical")
        self.app.metrics = None
        self.gets("critical", count=told + 1)
        servers.wait_for(lambda: bool(self.episodes()), what="an episode")

    def heal_app(self) -> None:
        """It answers again."""
        self.app.metrics = "up_since 1\n"

    def notes(self, receiver: str, status: str = "firing") -> int:
        """How many messages of that status about AppDown went to a receiver."""
        return sum((n.receiver, n.alert, n.status) == (receiver, "AppDown", status) for n in self.told.notes)

    def gets(self, receiver: str, status: str = "firing", count: int = 1, within: float = 60) -> None:
        """Wait until a receiver has been told so often."""
        servers.wait_for(
            lambda: self.notes(receiver, status) >= count, timeout=within,
            what=f"{receiver} told {status} {count} times: {[n.receiver for n in self.told.notes]}",
        )  # fmt: skip

    def episodes(self) -> list[Episode]:
        """That of AppDown, where it fires."""
        return [i for i in episodes(self.prometheus) if i.alert == "AppDown"]

    def holders(self) -> list[str]:
        """Who has it."""
        current = self.episodes()
        return [a.by for a in acknowledgements(self.alertmanager) if a.episode in current]

    def held_from(self, number: str) -> bool:
        """Whether the turn of these next receivers has come, and a silence keeps the alert from them."""
        return any(
            a.labels.get("next") == number and a.silenced_by
            for a in self.alertmanager.alerts()
            if a.labels["alertname"] == "AppDown"
        )

    def over(self) -> None:
        """Wait until no episode goes on, nor would go on if the app failed again."""
        self.heal_app()
        query = f'last_over_time(techsapo:alert:episode{{alertname="AppDown"}}[{AWAY}s])'
        servers.wait_for(lambda: not self.prometheus.query(query), what="no episode any more")


@contextmanager
def watched(directory: Path, **notifications: Any) -> Iterator[Stack]:
    """Such a stack, whose Prometheus has scraped the app."""
    with ExitStack() as stack:
        made = Stack(directory, stack, **notifications)
        servers.wait_for(
            lambda: [s.value for s in made.prometheus.query('up{job="techsapo-app"}')] == [1.0],
            timeout=60, what="the app scraped",
        )  # fmt: skip
        yield made
