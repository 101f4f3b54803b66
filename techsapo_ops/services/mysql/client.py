"""How MariaDB's own programs speak to the stack's server by TCP."""

from __future__ import annotations

from techsapo_ops.stack.topology import Topology


def tls_options(topology: Topology) -> tuple[str, ...]:  # noqa: ARG001 - the server speaks plainly
    """Options by which they do without TLS, which a newer one would try first."""
    return ("--skip-ssl",)
