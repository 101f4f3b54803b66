"""What has to follow in a service while an apply goes on, that no engine does."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from techsapo_ops.stack.engine import Access
    from techsapo_ops.stack.topology import Topology


class Following:
    """Nothing. Every method may raise OpsError."""

    def ready(self, access: Access, topology: Topology, service: str) -> None:
        """`service` is ready, and what needs it has not been started yet; also where it ran already."""

    def settled(self, access: Access, topology: Topology) -> None:
        """All runs as it was asked for."""
