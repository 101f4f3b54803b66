"""Numbers of nginx that its process, its container and its configuration share."""

from __future__ import annotations

SHUTDOWN_SECONDS = 20
"""`worker_shutdown_timeout`: how long a stopping or reloaded worker may finish its requests."""
COMPOSE_TLS_PORT = 8443
"""Port of the TLS server inside the container, whose user may not bind ports below 1024."""
