"""Alertmanager: who is told of which alert.

Several are one: what is sent, and who silenced what, goes from each to the others. Who talks to them must
have the secret that only they have: else any container of the stack's network could silence all alerts, for
what comes from a member needs no login.

Of one alert that all of them are told, the first sends, and the others wait for their turn: who hears
meanwhile that it was sent does not send it again. Where they can't hear each other each sends: at least once.

https://prometheus.io/docs/alerting/latest/high_availability/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from techsapo_ops.messages import msg
from techsapo_ops.services.monitor import Monitor
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.kind import HANG_UP, executable
from techsapo_ops.stack.service import Probe, ServiceFacts, Tool

if TYPE_CHECKING:
    from pathlib import Path

    from techsapo_ops.stack.container import Container
    from techsapo_ops.stack.desired import Program
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.templates import Templates
    from techsapo_ops.stack.topology import Topology


CLUSTER_START = "alertmanager/start.sh"
CLUSTER_TLS = "alertmanager/cluster-tls.yml"
CLUSTER_KEY = "alertmanager-cluster.pem"
"""Private key and certificate by which they know each other, see services.made_secrets."""
CLUSTER_MEMBER = "alertmanager"
"""What the certificate calls each of them."""
CLUSTER_PORT = 9094
"""Where they talk to each other: over TCP alone, with TLS."""
_TURN = 5.0
"""Seconds for which each waits for the one whose turn is before its own, at most."""
_AGAIN = "5s"
"""How often all is told anew, and one that was lost is looked for: a network that heals is one cluster
within seconds, where the defaults take a minute."""


class Alertmanager(Monitor):
    """alertmanager."""

    facts = ServiceFacts(
        kind="alertmanager",
        title="Alertmanager",
        binary="prometheus-alertmanager",
        package="prometheus-alertmanager",
        image="prom/alertmanager:v0.28.1",
        port=9093,
        user="prometheus",
        uid=65534,
        data=True,
        container_data="/alertmanager",
        probe=Probe("http", "/-/ready"),
        reload="HUP",
        metrics_path="/metrics",
        published=True,
    )
    reload_command = HANG_UP
    reads = ("alertmanager/",)
    secrets = ("notifications",)
    port_setting = "monitoring.alertmanager.port"
    validator = Tool("amtool", "prometheus-alertmanager", msg("checks the generated alertmanager.yml"))

    def files(self, topology: Topology, templates: Templates) -> Iterable[RenderedFile]:
        """alertmanager.yml and the texts of its notifications."""
        from techsapo_ops.services.alertmanager.configuration import alertmanager_files
        from techsapo_ops.services.monitor import client_files

        return (
            *alertmanager_files(topology, templates),
            *client_files(topology, self.name),
            *start_files(topology, templates),
        )

    def made_secrets(self, topology: Topology) -> Mapping[str, Path]:
        """Its login, the signed links that it sends, and what it tells the app of alerts with."""
        from techsapo_ops.services.alertmanager import investigating, signing

        own = {**super().made_secrets(topology), **investigating.given(topology, self.name)}
        return {**own, **signing.given(topology, self.name), **cluster_secret(topology)}

    def program(self, topology: Topology, service: Service) -> Program:
        """alertmanager, on its port and alone."""
        from techsapo_ops.stack.desired import Program

        config, storage, *more = _arguments(topology, service)
        listens = f"--web.listen-address={topology.listens(service)}"
        return Program(
            service.name,
            (executable(service), config, storage, listens, *more),
            topology.data_dir(service),
            user=service.user,
            reload_signal=service.facts.reload,
            config=(*self.reads, "secrets/notifications-"),
        )

    def container(self, topology: Topology, service: Service) -> Container:
        """The same in its image."""
        from techsapo_ops.services.monitor import client_file
        from techsapo_ops.stack.container import Container

        port = service.facts.port
        return Container(
            command=_arguments(topology, service),
            port=port,
            healthcheck=(
                "amtool", f"--alertmanager.url=http://127.0.0.1:{port}", *client_file(topology, self.name),
                "config", "show",
            ),
            config=("alertmanager",),
            volume=service.facts.container_data,
            memory_mb=256,
            extra=entry_point(topology),
        )  # fmt: skip


def _arguments(topology: Topology, service: Service) -> tuple[str, ...]:
    from techsapo_ops.services.alertmanager.configuration import ALERTMANAGER_YML
    from techsapo_ops.services.monitor import web_arguments
    from techsapo_ops.stack.address import Viewpoint

    return (
        f"--config.file={topology.config_dir() / ALERTMANAGER_YML}",
        f"--storage.path={topology.data_dir(service)}",
        f"--web.external-url={topology.address(service, Viewpoint.OUTSIDE).url('/')}",
        *cluster_arguments(topology, service),
        # Else nobody could tell a beat that the watcher missed from a message that nobody got.
        "--enable-feature=receiver-name-in-metrics",
        *web_arguments(topology, service.kind),
    )


def cluster_arguments(topology: Topology, service: Service) -> Iterator[str]:
    """How `service` finds the others; alone it listens to nobody.

    Alertmanager looks names up anew, so one that comes back with another address is found. Which address
    it has itself only its container knows: see CLUSTER_START.
    """
    from techsapo_ops.services.prometheus.alert_rules import duration_text

    others = [other for other in topology.of_kind(service.kind) if other.name != service.name]
    if not others:
        yield "--cluster.listen-address="
        return
    yield f"--cluster.listen-address=0.0.0.0:{CLUSTER_PORT}"
    yield f"--cluster.tls-config={topology.config_dir() / CLUSTER_TLS}"
    yield f"--cluster.peer-timeout={duration_text(_turn(topology))}"
    yield f"--cluster.pushpull-interval={_AGAIN}"
    yield f"--cluster.reconnect-interval={_AGAIN}"
    for other in others:
        yield f"--cluster.peer={other.name}:{CLUSTER_PORT}"


def _turn(topology: Topology) -> float:
    """So long that the last one's turn is over well before the next look at the same group.

    Who waits goes by what was so when it began to wait: with one whose next look came first, an alert that
    ended meanwhile was told as firing once more, behind its end.
    """
    from techsapo_ops.services.alertmanager.routes import QUICK_INTERVAL
    from techsapo_ops.spec.models.base import seconds

    every = min(seconds(topology.spec.monitoring.alertmanager.group_interval), seconds(QUICK_INTERVAL))
    return max(0.2, min(_TURN, every / (2 * len(topology.machines))))


def clustered(topology: Topology) -> bool:
    """Whether there are several of them."""
    return len(topology.of_kind("alertmanager")) > 1


def start_files(topology: Topology, templates: Templates) -> Iterator[RenderedFile]:
    """The script that each of several is started by, and how they know each other."""
    if not clustered(topology):
        return
    import ipaddress

    network = ipaddress.ip_network(topology.spec.swarm.subnet)
    text = templates.render(
        "alertmanager/start.sh.j2",
        subnet=str(network),
        network=int(network.network_address),
        mask=int(network.netmask),
        port=CLUSTER_PORT,
    )
    yield RenderedFile(CLUSTER_START, text, mode=0o555)
    key = str(topology.secret_path(CLUSTER_KEY))
    yield RenderedFile(
        CLUSTER_TLS, templates.render("alertmanager/cluster-tls.yml.j2", key=key, member=CLUSTER_MEMBER)
    )


def cluster_secret(topology: Topology) -> Mapping[str, Path]:
    """The secret by which each of several is one of them, for its container."""
    return {CLUSTER_KEY: topology.layout.keys / CLUSTER_KEY} if clustered(topology) else {}


def entry_point(topology: Topology) -> dict[str, list[str]]:
    """What starts each of several in its container."""
    return {"entrypoint": ["sh", str(topology.config_dir() / CLUSTER_START)]} if clustered(topology) else {}
