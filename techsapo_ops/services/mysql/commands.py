"""`mariadb` as a person types it for this stack's server: port, or the way into its container."""

from __future__ import annotations

from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology

_CLIENT = "mariadb -h 127.0.0.1 -u root"
_WITH_LOGIN = f"MYSQL_PWD=$(techsapo config secrets show mysql-root) {_CLIENT}"
_CONTAINER_HINTS = (
    " (in containers `docker exec -u 0 PROJECT-mysql-1 mariadb -e …`)",
    "（コンテナでは `docker exec -u 0 PROJECT-mysql-1 mariadb -e …`）",
)

ON_SEVERAL_HOSTS = {_WITH_LOGIN: "techsapo exec mysql-HOST mariadb"} | dict.fromkeys(_CONTAINER_HINTS, "")
"""The same where each host has one: Swarm's containers have names that change, and techsapo finds them."""


def commands(topology: Topology, service: Service) -> dict[str, str]:
    """By what the runbooks say of any MariaDB, what takes its place."""
    own = dict.fromkeys(_CONTAINER_HINTS, "")
    if topology.places.from_images:
        return own | {_WITH_LOGIN: f"docker exec -u 0 {topology.spec.project}-{service.name}-1 mariadb"}
    address = topology.address(service, Viewpoint.WITHIN)
    return own | {_CLIENT: f"mariadb -h {address.host} -P {address.port} -u root"}
