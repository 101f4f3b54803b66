"""`redis-cli` as a person types it for this stack's Redis: port, login, TLS, the way into its container."""

from __future__ import annotations

import shlex

from techsapo_ops.services.redis.accounts import accounts_made
from techsapo_ops.services.redis.client import login_options
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology

_CLIENT = "`redis-cli "
_LOGIN_HINTS = (
    " (`techsapo config secrets list` knows the login)",
    "（ログインは `techsapo config secrets list`）",
)

ON_SEVERAL_HOSTS = {_CLIENT: "`techsapo exec redis-HOST redis-cli "} | dict.fromkeys(_LOGIN_HINTS, "")
"""The same where each host has one: Swarm's containers have names that change, and techsapo finds them."""


def commands(topology: Topology, service: Service) -> dict[str, str]:
    """By what the runbooks say of any Redis, what takes its place."""
    secret = "redis-operator" if accounts_made(topology) else "redis"
    asks = accounts_made(topology) or topology.spec.redis.password is not None
    words = [f"REDISCLI_AUTH=$(techsapo config secrets show {secret})"] if asks else []
    if topology.places.from_images:
        inherited = ["-e REDISCLI_AUTH"] if asks else []
        words += ["docker exec", *inherited, f"{topology.spec.project}-{service.name}-1"]
    address = topology.address(service, Viewpoint.WITHIN)
    words.append("redis-cli")
    if address.host not in ("127.0.0.1", "localhost"):
        words.append(f"-h {address.host}")
    if address.port != service.facts.port:
        words.append(f"-p {address.port}")
    if options := login_options(topology):
        words.append(shlex.join(options))
    return {_CLIENT: f"`{' '.join(words)} "} | dict.fromkeys(_LOGIN_HINTS, "")
