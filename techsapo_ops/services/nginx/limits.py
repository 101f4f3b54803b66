"""Numbers of nginx that its process, its container and its configuration share."""

from __future__ import annotations

from collections.abc import Mapping

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
