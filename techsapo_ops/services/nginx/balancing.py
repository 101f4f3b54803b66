"""Whom nginx sends requests to: the app's instances on this host, or those on several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.service import Service

if TYPE_CHECKING:
    from techsapo_ops.stack.templates import Templates
    from techsapo_ops.stack.topology import Topology

SHUTDOWN_SECONDS = 20
"""`worker_shutdown_timeout`: how long a stopping or reloaded worker may finish its requests."""
RESTART_SECONDS = 2
"""How long they may where nginx is started again at once: until then everybody else is refused."""
DRAIN_SECONDS = 5
"""On several hosts, how long it serves on while keepalived moves the address of the front: that takes two of
its checks, and a moment."""
HEADER_SECONDS = 20
"""`client_header_timeout`: as long as the app itself waits for a head."""
BODY_SECONDS = 30
"""`client_body_timeout`: the longest silence in a body."""
COMPOSE_TLS_PORT = 8443
"""Port of the TLS server inside the container, whose user may not bind ports below 1024."""
APP_SILENT: Mapping[str, str] = {
    "net.ipv4.tcp_keepalive_time": "1",
    "net.ipv4.tcp_keepalive_intvl": "1",
    "net.ipv4.tcp_keepalive_probes": "3",
}
"""Seconds, and how often: when a connection to an instance is given up whose host answers nothing any more.

Of nginx's connections those alone are looked after in this way (`proxy_socket_keepalive`), not the users'.
"""


START = "nginx/start.sh"
FRONT_LOCATION = "/nginx-front"
"""Says whether the address of the front may be on this nginx's host: not while it drains."""
DRAIN_FILE = "drain"
"""In nginx's data folder; its start script puts it there."""
DOCKER_DNS = "127.0.0.11"
"""Where a container asks for the names of a network of Docker's."""
NO_RESOLVER = "127.0.0.1"
"""Where nobody listens in nginx's container. Docker asks the host's resolvers for a name that nothing has,
and one that answers everything would have users' requests, with their keys, sent to whoever it names."""


@dataclass(frozen=True, slots=True)
class Server:
    """One server of the upstream; on several hosts its name stands for an instance on each of them."""

    address: str
    weight: int
    backup: bool


@dataclass(frozen=True, slots=True)
class Upstream:
    """The app, as nginx.conf has it. `keepalive` is how many idle connections are kept; 0 for none.

    `resolver` is where the servers' names are asked for while nginx runs; empty for addresses, and for names
    that are looked up once.
    """

    servers: tuple[Server, ...]
    keepalive: int
    connect_timeout: str
    tries: int
    resolver: str = ""
    drain_file: str = ""
    front_location: str = FRONT_LOCATION


def upstream_of(topology: Topology) -> Upstream:
    """The upstream of a stack on one host."""
    apps = topology.of_kind("app")
    servers = (Server(str(topology.address(a, Viewpoint.SERVICE)), a.weight, a.backup) for a in apps)
    return Upstream(tuple(servers), keepalive=64, connect_timeout="1s", tries=3)


def upstream_of_machines(topology: Topology) -> Upstream:
    """That of a stack on several machines."""
    # By the name that an instance has on every host, not by those of each: Docker asks the hosts' own
    # resolvers for a name that nothing runs by, and believes them.
    instances = {app.instance: app for app in topology.of_kind("app")}
    return Upstream(
        tuple(Server(f"{name}:{a.facts.port}", a.weight, a.backup) for name, a in instances.items()),
        keepalive=0,
        connect_timeout="200ms",
        # All of a host that was lost, and then two others.
        tries=len(instances) + 2,
        resolver=DOCKER_DNS,
        drain_file=str(topology.data_dir(_nginx(topology)) / DRAIN_FILE),
    )


def asks_names(topology: Topology) -> bool:
    """Whether nginx needs names that are not the stack's: that of the server which signs people in."""
    signing_in = topology.spec.app.auth.sign_in
    if signing_in is None:
        return False
    import ipaddress

    host = urlsplit(signing_in.address).hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False


def start_file(topology: Topology, templates: Templates) -> RenderedFile:
    """What starts nginx on several hosts, and lets the address leave its own before it stops."""
    content = templates.render(
        "nginx/start.sh.j2",
        drain_file=f"{topology.data_dir(_nginx(topology))}/{DRAIN_FILE}",
        drain_seconds=DRAIN_SECONDS,
    )
    return RenderedFile(START, content, mode=0o555)


def _nginx(topology: Topology) -> Service:
    return topology.of_kind("nginx")[0]
