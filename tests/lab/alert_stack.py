"""A stack that gets into trouble: three apps, what they depend on, and the real servers that watch them."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
import servers
import warm
import yaml
from alert_lab import Upstream, history, receiving
from alert_servers import Around
from fakes.notified import notified
from monitoring_stack import monitoring_files, spec_of, topology_of, write
from orchestrator import serving

from techsapo_ops.apply.ledger_entry import LedgerEntry
from techsapo_ops.apply.outcome import tell_prometheus
from techsapo_ops.render.stack import secret_files
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stores.keys import KeyFile, new_key

BUDGET = {"daily_usd": 15, "monthly_usd": 450}


class Stack:
    """Everything that runs, when which fault began and ended, and what was told of it.

    `changes` are the alerts' changed durations, as the spec's `monitoring.alerts`.
    """

    def __init__(self, directory: Path, changes: dict[str, Any], stack: ExitStack) -> None:
        self.directory = directory
        self.caused: dict[str, float] = {}
        self.ended: dict[str, float] = {}
        self._inhibited: dict[str, float] = {}
        self._client = stack.enter_context(httpx.Client(timeout=60, trust_env=False))
        self.told = stack.enter_context(receiving())
        self.upstream = Upstream()
        self.ports = [servers.free_port() for _ in range(3)]
        self.node_port = servers.free_port()
        self.around = Around(directory)
        self.apps: dict[int, tuple[ExitStack, servers.Server]] = {}
        made = {
            n: new_key(n, plan="premium", scopes=("ask",), now=datetime.now(UTC))
            for n in ("good", "old", "late")
        }
        self.keys = {name: shown for name, (_, shown) in made.items()}
        old = replace(made["old"][0], revoked=datetime.now(UTC))
        late = replace(made["late"][0], expires=datetime.now(UTC))
        KeyFile(directory / "keys.json").write((made["good"][0], old, late))
        self._monitor(changes, stack)
        stack.callback(self.stop)
        stack.enter_context(self._watched())

    def start(self, number: int, **sections: Any) -> servers.Server:
        """Start instance app-`number`, in place of the one that runs."""
        if number in self.apps:
            self.apps.pop(number)[0].close()
        own = ExitStack()
        prefix = sections.pop("prefix", ())
        server = own.enter_context(
            serving(
                self.directory / f"app-{number}", instance=f"app-{number}", port=self.ports[number - 1],
                prefix=prefix, budget=BUDGET | sections.pop("budget", {}), **sections,
            )
        )  # fmt: skip
        self.apps[number] = (own, server)
        return server

    def kill(self) -> None:
        """Kill every instance, all at once."""
        for _, server in self.apps.values():
            server.kill()
        self.stop()

    def stop(self) -> None:
        """End every instance."""
        for own, _ in self.apps.values():
            own.close()
        self.apps.clear()

    def url(self, number: int, path: str) -> str:
        """Of app-`number`."""
        return f"http://127.0.0.1:{self.ports[number - 1]}{path}"

    def ask(self, number: int, prompt: str, key: str | None = None, accept: str = "*/*") -> int:
        """Ask app-`number`; the status of its answer."""
        headers = {"Accept": accept} | ({} if key is None else {"Authorization": f"Bearer {key}"})
        return httpx.post(
            self.url(number, "/api/v1/generate"),
            json={"prompt": prompt}, headers=headers, timeout=60, trust_env=False,
        ).status_code  # fmt: skip

    def many(self, count: int, work: Callable[[int], object], at_once: int = 8) -> None:
        """Do `work` of 0, 1, … `count` times."""
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(work, range(count)))

    @contextmanager
    def customers(self, *numbers: int, pause: float = 0) -> Iterator[None]:
        """Users who ask these apps within the block, each question 21 times, and are answered.

        `pause` is in seconds, after each 21 requests of one of them.
        """
        over = threading.Event()

        def use(number: int) -> None:
            asked = 0
            with httpx.Client(base_url=self.url(number, ""), timeout=60, trust_env=False) as client:
                while not over.is_set():
                    asked += 1
                    address = {"X-Forwarded-For": f"198.51.{asked >> 8 & 255}.{asked & 255}"}
                    for _ in range(21):
                        client.post(
                            "/api/v1/generate", json={"prompt": f"good {asked}"}, headers=address
                        ).raise_for_status()
                    over.wait(pause)

        with ThreadPoolExecutor(len(numbers)) as pool:
            using = [pool.submit(use, number) for number in numbers]
            try:
                yield
            finally:
                over.set()
        for each in using:
            each.result()

    def cause(self, *names: str) -> None:
        """From now on there is a reason for these alerts."""
        self.caused |= dict.fromkeys(names, time.monotonic())

    def end(self, *names: str) -> None:
        """From now on there is none any more."""
        self.ended |= dict.fromkeys(names, time.monotonic())

    def fired(self, name: str) -> float | None:
        """Seconds from the cause to the notification; None without one."""
        return self._after(name, "firing", self.caused)

    def resolved(self, name: str) -> float | None:
        """Seconds from the end of the cause to the notification of it; None while the last says firing."""
        if self.told.last(name) != "resolved":
            return None
        # An alert that looks back over a window may be over before its fault is.
        return self._after(name, "resolved", self.ended) or 0.0

    def held_back(self, name: str) -> float | None:
        """Seconds from the cause until Alertmanager held the alert back for a worse one; None if never."""
        at = self._inhibited.get(name)
        return None if at is None else at - self.caused[name]

    def applied(self, number: int) -> None:
        """Leave for node exporter what an apply leaves that ended now."""
        entry = LedgerEntry(
            id=number, time=datetime.now(UTC), user="hanako", command="up", version="1", engine="native",
            environment=None, spec_hash="x", state="x", identity="x", result="ok",
            files=(("nginx.conf", "changed"),),
        )  # fmt: skip
        layout = SimpleNamespace(textfiles=self.directory / "textfile")
        tell_prometheus(entry, cast(Layout, layout), lambda said: pytest.fail(said))

    def settle(self, said: Callable[[str], float | None], *names: str, within: float = 120) -> None:
        """Wait until `said` knows of each of `names`, or in vain: whoever asks for one later is told why."""
        deadline = time.monotonic() + within
        while any(said(name) is None for name in names) and time.monotonic() < deadline:
            time.sleep(0.1)

    def why(self, name: str) -> str:
        """What is known of an alert: when Prometheus had it, and what was told of it and of others."""
        notes = [
            f"{n.status} at {n.at - self.caused[name]:.1f} s {n.labels}"
            for n in self.told.notes
            if n.alert == name
        ]
        now = sorted({a["metric"]["alertname"] for a in self.query("ALERTS{alertstate='firing'}")})
        had = {
            a["metric"]["alertstate"]: f"{len(a['values'])} s"
            for a in self.query(f"ALERTS{{alertname='{name}'}}[10m]")
        }
        return f"{name}: told {notes}, held back at {self.held_back(name)} s; in Prometheus {had}; now {now}"

    def states(self) -> dict[str, dict[str, Any]]:
        """Alertmanager's view of each alert, by name; of several the last."""
        found = self._client.get(f"{self.alertmanager.url}/api/v2/alerts").json()
        return {a["labels"]["alertname"]: a for a in found}

    def query(self, expr: str) -> list[dict[str, Any]]:
        """What Prometheus answers."""
        url = f"{self.prometheus.url}/api/v1/query"
        data = self._client.get(url, params={"query": expr}).json()["data"]
        found: list[dict[str, Any]] = data["result"]
        return found

    def techsapo(self, *arguments: str, code: int = 0) -> str:
        """Run the command line on the spec of this stack."""
        argv = [sys.executable, "-m", "techsapo_ops", *arguments, "--file", self.directory / "techsapo.yaml"]
        done = warm.run(argv, text=True)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def change_alerts(self, changes: dict[str, Any]) -> None:
        """Let Prometheus take over other durations of alerts."""
        self._data["monitoring"]["alerts"] |= changes
        self._write()
        self.prometheus.process.send_signal(signal.SIGHUP)

    def _write(self) -> Spec:
        """Write the spec down, and what is generated of it."""
        (self.directory / "techsapo.yaml").write_text(yaml.safe_dump(self._data), encoding="utf-8")
        spec = spec_of(self._data)
        write(monitoring_files(spec, self.directory).values(), self.directory)
        return spec

    def _after(self, name: str, status: str, since: dict[str, float]) -> float | None:
        if name not in since:
            return None
        at = self.told.came(name, status, since[name])
        return None if at is None else at - since[name]

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Look which alerts Alertmanager holds back, again and again."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.2):
                for name, alert in self.states().items():
                    if alert["status"]["inhibitedBy"]:
                        self._inhibited.setdefault(name, time.monotonic())

        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(watch)
            try:
                yield
            finally:
                over.set()
        watching.result()

    def _monitor(self, changes: dict[str, Any], stack: ExitStack) -> None:
        """Start Prometheus, with eight days of history, Alertmanager and exporters on generated files."""
        root = self.directory
        port = {name: servers.free_port() for name in ("prometheus", "alertmanager")}
        data: dict[str, Any] = {
            "project": "t",
            "engine": "native",
            "locale": "en",
            "app": {"instances": [{"port": p} for p in self.ports]},
            **self.around.sections(),
            "monitoring": {
                "prometheus": {
                    "port": port["prometheus"], "scrape_interval": "1s",
                },
                "alertmanager": {
                    "port": port["alertmanager"], "group_wait": "0s", "group_interval": "1s",
                },
                "grafana": {"enabled": False},
                "exporters": {
                    "node": self.node_port,
                    "blackbox": None,
                    **self.around.exporters(),
                },
                "alerts": changes,
            },
            "notifications": notified({
                name: [{"kind": "webhook", "url": self.told.url(name)}]
                for name in ("critical", "warning", "info")
            }),
        }  # fmt: skip
        self._data = data
        spec = self._write()
        files = monitoring_files(spec, root)
        write(secret_files(topology_of(spec, root)), root)
        self.around.watch(spec, stack)
        (root / "textfile").mkdir()
        history(root / "prometheus" / "tsdb", root)
        node = [
            servers.binary("prometheus-node-exporter"), f"--web.listen-address=127.0.0.1:{self.node_port}",
            f"--collector.textfile.directory={root}/textfile",
        ]  # fmt: skip
        ready = f"http://127.0.0.1:{self.node_port}"
        stack.enter_context(
            servers.running(node, root / "node", self.node_port, lambda: servers.http_ok(ready))
        )
        alertmanager, prometheus = files["alertmanager/alertmanager.yml"], files["prometheus/prometheus.yml"]
        self.alertmanager = stack.enter_context(
            servers.alertmanager(alertmanager.content, root / "alertmanager", port=port["alertmanager"])
        )
        self.prometheus = stack.enter_context(
            servers.prometheus(prometheus.content, root / "prometheus", port=port["prometheus"])
        )
