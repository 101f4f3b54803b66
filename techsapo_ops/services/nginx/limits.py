"""Numbers of nginx that its process, its container and its configuration share."""

from __future__ import annotations

SHUTDOWN_SECONDS = 20
"""`worker_shutdown_timeout`: how long a stopping or reloaded worker may finish its requests."""
RESTART_SECONDS = 2
"""How long they may where nginx is started again at once: until then everybody else is refused."""
HEADER_SECONDS = 20
"""`client_header_timeout`: as long as the app itself waits for a head."""
BODY_SECONDS = 30
"""`client_body_timeout`: the longest silence in a body."""
COMPOSE_TLS_PORT = 8443
"""Port of the TLS server inside the container, whose user may not bind ports below 1024."""
