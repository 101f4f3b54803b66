"""Several Alertmanagers as one: what is sent, and who silenced what, goes from each to the others.

Who talks to them must have the secret that only they have: else any container of the stack's network could
silence all alerts, for what comes from a member needs no login.

Of one alert that all of them are told, the first sends, and the others wait for their turn: who hears
meanwhile that it was sent does not send it again. Where they can't hear each other each sends: at least once.

https://prometheus.io/docs/alerting/latest/high_availability/
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from pathlib import Path

from techsapo_ops.services.alertmanager.routes import QUICK_INTERVAL
from techsapo_ops.services.prometheus.alert_rules import duration_text
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.templates import Templates
from techsapo_ops.stack.topology import Topology

START = "alertmanager/start.sh"
TLS = "alertmanager/cluster-tls.yml"
KEY = "alertmanager-cluster.pem"
"""Private key and certificate by which they know each other, see services.cluster_key."""
MEMBER = "alertmanager"
"""What the certificate calls each of them."""
PORT = 9094
"""Where they talk to each other: over TCP alone, with TLS."""
_TURN = 5.0
"""Seconds for which each waits for the one whose turn is before its own, at most."""
_AGAIN = "5s"
"""How often all is told anew, and one that was lost is looked for: a network that heals is one cluster
within seconds, where the defaults take a minute."""


def cluster_arguments(topology: Topology, service: Service) -> Iterator[str]:
    """How `service` finds the others; alone it listens to nobody.

    Alertmanager looks names up anew, so one that comes back with another address is found. Which address
    it has itself only its container knows: see START.
    """
    others = [other for other in topology.of_kind(service.kind) if other.name != service.name]
    if not others:
        yield "--cluster.listen-address="
        return
    yield f"--cluster.listen-address=0.0.0.0:{PORT}"
    yield f"--cluster.tls-config={topology.config_dir() / TLS}"
    yield f"--cluster.peer-timeout={duration_text(_turn(topology))}"
    yield f"--cluster.pushpull-interval={_AGAIN}"
    yield f"--cluster.reconnect-interval={_AGAIN}"
    for other in others:
        yield f"--cluster.peer={other.name}:{PORT}"


def _turn(topology: Topology) -> float:
    """So long that the last one's turn is over well before the next look at the same group.

    Who waits goes by what was so when it began to wait: with one whose next look came first, an alert that
    ended meanwhile was told as firing once more, behind its end.
    """
    every = min(seconds(topology.spec.monitoring.alertmanager.group_interval), seconds(QUICK_INTERVAL))
    return max(0.2, min(_TURN, every / (2 * len(topology.machines))))


def clustered(topology: Topology) -> bool:
    """Whether there are several of them."""
    return len(topology.of_kind("alertmanager")) > 1


def start_files(topology: Topology, templates: Templates) -> Iterator[RenderedFile]:
    """The script that each of several is started by, and how they know each other."""
    if not clustered(topology):
        return
    network = ipaddress.ip_network(topology.spec.swarm.subnet)
    text = templates.render(
        "alertmanager/start.sh.j2",
        subnet=str(network),
        network=int(network.network_address),
        mask=int(network.netmask),
        port=PORT,
    )
    yield RenderedFile(START, text, mode=0o555)
    key = str(topology.secret_path(KEY))
    yield RenderedFile(TLS, templates.render("alertmanager/cluster-tls.yml.j2", key=key, member=MEMBER))


def given(topology: Topology) -> Mapping[str, Path]:
    """The secret by which each of several is one of them, for its container."""
    return {KEY: topology.layout.keys / KEY} if clustered(topology) else {}


def entry_point(topology: Topology) -> dict[str, list[str]]:
    """What starts each of several in its container."""
    return {"entrypoint": ["sh", str(topology.config_dir() / START)]} if clustered(topology) else {}
