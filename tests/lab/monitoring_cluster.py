"""Three machines with the stack's Prometheis and Alertmanagers, as they are rendered, and nothing else.

Each is a network of its own on a bridge; names of the stack's network are put in as addresses. What is told
and what fails is on the bridge itself, which every machine reaches, also one that the others don't.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil
from cluster_world import WEBHOOK
from fakes.notified import notified
from machines import HUB, NETWORK, Namespaces, Wire
from machines_spec import machines_files, machines_topology
from monitoring_stack import alerts_off, episodes_alone
from networks import within
from servers import binary, wait_for

from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.monitoring_server import ApiError, MonitoringServer, Way, straight
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.services.alertmanager.kind import CLUSTER_KEY, CLUSTER_MEMBER
from techsapo_ops.services.made_secrets import made_key
from techsapo_ops.services.registry import kind_of
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology

_OFF = {"enabled": False}
_NAME = re.compile(r"\b(?:app|alertmanager|prometheus)-([abc]):(\d+)")
AFTER = 8
"""Seconds until the next receiver is told."""
AWAY = 6
"""Seconds for which an episode goes on while its alert is away: ten minutes else."""


def _hook(name: str) -> list[dict[str, str]]:
    return [{"kind": "webhook", "url": f"http://{HUB}:{WEBHOOK}/{name}"}]


# By group_interval a turn is two seconds: so others hear what was sent also where two processors are busy.
_SECTIONS: dict[str, Any] = {
    "locale": "en",
    "swarm": {"subnet": f"{NETWORK}.0/24"},
    "monitoring": {
        "prometheus": {"scrape_interval": "1s", "login": False},
        "alertmanager": {
            "group_wait": "1s", "group_interval": "12s", "repeat_interval": "1h", "login": False,
        },
        "grafana": _OFF,
        "exporters": dict.fromkeys(("node", "redis", "mysqld", "nginx", "blackbox")),
        "alerts": {
            **alerts_off(),
            "AppDown": {"for": "1s", "keep_firing_for": "0s", "threshold": 100},
        },
    },
    "notifications": notified({
        **{severity: _hook(severity) for severity in ("critical", "warning", "info")},
        "next": [{"after": f"{AFTER}s", "receivers": _hook("next")}],
    }),
}  # fmt: skip


@dataclass(frozen=True)
class Told:
    """One message about AppDown: from which machine, to which receiver."""

    machine: str
    to: str
    status: str
    key: tuple[str, ...]
    """By what a receiver knows that it had it: group, status and fingerprints."""


@dataclass
class Cluster:
    """The machines by name, and what runs there."""

    folder: Path
    wire: Wire
    machines: dict[str, Namespaces] = field(default_factory=dict)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def address(self, machine: str) -> str:
        return f"{NETWORK}.{'abc'.index(machine) + 1}"

    def start(self, service: Service) -> None:
        """Start one as its container does, with the arguments of its container."""
        container = kind_of(service).container(self.topology, service)
        entry = container.extra.get("entrypoint", [binary(service.facts.binary or "")])
        data = self.folder / service.name
        data.mkdir(exist_ok=True)
        words = [self._here(str(word), data) for word in (*entry, *container.command)]
        with (self.folder / f"{service.name}.log").open("ab") as log:
            self.running[service.name] = subprocess.Popen(
                [*self.machines[service.machine.name].enter(), *words],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def _here(self, text: str, data: Path) -> str:
        text = text.replace("/etc/techsapo", str(self.folder / "config"))
        text = re.sub(r"(?<==)/(prometheus|alertmanager)$", str(data), text)
        return self.addressed(text)

    def addressed(self, text: str) -> str:
        """`text` with addresses in the place of names."""

        def at(found: re.Match[str]) -> str:
            host = HUB if found[0].startswith("app-") else self.address(found[1])
            return f"{host}:{found[2]}"

        return _NAME.sub(at, text)

    @cached_property
    def topology(self) -> Topology:
        return machines_topology(**_SECTIONS)

    def services(self, kind: str) -> tuple[Service, ...]:
        return self.topology.of_kind(kind)

    def ask(self, made: type[MonitoringServer], *machines: str) -> Any:
        """The API of what is on these machines, asked from the bridge."""
        port = {"Prometheus": 9090, "Alertmanager": 9093}[made.__name__]
        urls = [f"http://{self.address(machine)}:{port}" for machine in machines]
        return made(urls, timeout=20, way=self.way)

    @property
    def way(self) -> Way:
        pid = self.wire.namespaces.pid
        return lambda asked: within(pid, lambda: straight(asked))

    def kill(self, name: str) -> None:
        """kill -9."""
        process = self.running.pop(name)
        for each in (*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)):
            each.kill()
        process.wait(60)

    def cut(self, machine: str) -> None:
        """It and the others don't reach each other any more; each still reaches the bridge."""
        self._routes(machine, "add")

    def heal(self, machine: str) -> None:
        """They reach each other again."""
        self._routes(machine, "del")

    def _routes(self, machine: str, what: str) -> None:
        for other in self.machines:
            if other != machine:
                self.machines[machine].run(binary("ip"), "route", what, "blackhole", self.address(other))
                self.machines[other].run(binary("ip"), "route", what, "blackhole", self.address(machine))

    def down(self, *, down: bool) -> None:
        """Whether the app fails."""
        file = self.folder / "down"
        if down:
            file.touch()
        else:
            file.unlink(missing_ok=True)

    def told(self, to: str = "critical", status: str = "") -> list[Told]:
        """The messages about AppDown so far."""
        file = self.folder / "told"
        found = []
        for line in file.read_text().splitlines() if file.exists() else ():
            entry = json.loads(line)
            message = entry["message"]
            alerts = [a for a in message["alerts"] if a["labels"]["alertname"] == "AppDown"]
            if alerts:
                machine = "abc"[int(entry["from"].rpartition(".")[2]) - 1]
                prints = sorted(f"{a['fingerprint']} {a['status']}" for a in alerts)
                key = (message["groupKey"], message["status"], *prints)
                found.append(Told(machine, entry["to"].strip("/"), message["status"], key))
        return [t for t in found if t.to == to and (not status or t.status == status)]


@contextmanager
def monitoring_cluster(folder: Path) -> Iterator[Cluster]:
    """Three machines, each with an Alertmanager, two of them with a Prometheus. Needs root."""
    with ExitStack() as stack:
        wire = stack.enter_context(Wire.made())
        cluster = Cluster(folder, wire)
        for machine in "abc":
            held = Namespaces.held(["cat"])
            stack.callback(held.end)
            cluster.machines[machine] = held
            wire.run(f"ip link add to-{machine} type veth peer name eth0 netns {held.pid}")
            wire.run(f"ip link set to-{machine} master br0 up")
            for words in (
                f"addr add {cluster.address(machine)}/24 dev eth0",
                "link set lo up",
                "link set eth0 up",
            ):
                held.run(binary("ip"), *words.split())
        _write(cluster)
        stack.callback(lambda: [cluster.kill(name) for name in list(cluster.running)])
        world = [sys.executable, str(Path(__file__).parent / "cluster_world.py"), str(folder), HUB]
        cluster.running["world"] = subprocess.Popen(
            [*wire.namespaces.enter(), *world], start_new_session=True
        )
        for kind in ("alertmanager", "prometheus"):
            for service in cluster.services(kind):
                cluster.start(service)
        yield cluster


def _write(cluster: Cluster) -> None:
    for path, text in machines_files(cluster.topology).items():
        if path.startswith(("prometheus/", "alertmanager/")):
            file = cluster.folder / "config" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            text = text.replace("/run/secrets/acknowledge.tmpl", str(cluster.folder / "config/none.tmpl"))
            if file.name == "recording.yml":
                text = episodes_alone(text, AWAY)
            file.write_text(cluster.addressed(text.replace("/run/secrets", str(cluster.folder / "secrets"))))
    secrets = cluster.folder / "secrets"
    secrets.mkdir()
    made_key(secrets / CLUSTER_KEY, CLUSTER_MEMBER)
    for severity in ("critical", "warning", "info"):
        (secrets / f"notifications-receivers-{severity}_0-url").write_text(
            f"http://{HUB}:{WEBHOOK}/{severity}"
        )
    (secrets / "notifications-receivers-next_0_0-url").write_text(f"http://{HUB}:{WEBHOOK}/next")


QUIET = 8.0
"""Seconds after which nothing more is sent: each had its turn, and a group's interval is over."""


def wait(check: Callable[[], bool], what: str) -> None:
    """Two processors are shared by many."""

    def quietly() -> bool:
        try:
            return check()
        except (Unreachable, ApiError):
            return False

    wait_for(quietly, timeout=120, what=what)


def whole(cluster: Cluster) -> None:
    """Wait until all know of all, and nothing fires."""
    sizes = 'min(alertmanager_cluster_members{job="alertmanager"}) == 3'
    for machine in "ab":
        server = cluster.ask(Prometheus, machine)
        wait(lambda server=server: bool(server.query(sizes)), "one cluster")  # type: ignore[misc]
        quiet = f'absent(last_over_time(techsapo:alert:episode{{alertname="AppDown"}}[{AWAY}s]))'
        wait(lambda s=server, q=quiet: bool(s.query(q)), "no episode")  # type: ignore[misc]
    (cluster.folder / "told").unlink(missing_ok=True)


def fired(cluster: Cluster) -> None:
    cluster.down(down=True)
    wait(lambda: bool(cluster.told(status="firing")), "a message")
    time.sleep(QUIET)


def ended(cluster: Cluster) -> None:
    cluster.down(down=False)
    wait(lambda: bool(cluster.told(status="resolved")), "its end")
    time.sleep(QUIET)
