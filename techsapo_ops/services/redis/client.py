"""How redis-cli gets to the stack's own Redis; the password goes by REDISCLI_AUTH."""

from __future__ import annotations

from techsapo_ops.stack.own_tls import ca_seen
from techsapo_ops.stack.topology import Topology


def login_options(topology: Topology) -> tuple[str, ...]:
    """Options that name the account, where there is one, and make it speak TLS, where Redis does."""
    user = topology.spec.redis.user
    account = ("--user", user) if user is not None else ()
    return (*tls_options(topology), *account)


def tls_options(topology: Topology) -> tuple[str, ...]:
    """Options that make it speak TLS, where Redis does; none elsewhere.

    redis-cli compares no host name: that the CA signs for this one server alone has to do.
    """
    return ("--tls", "--cacert", str(ca_seen(topology, "redis"))) if topology.spec.redis.tls else ()
