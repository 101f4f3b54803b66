"""What an engine does of nginx."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from typing_extensions import override

from techsapo_ops.services.runtime import Runtime
from techsapo_ops.stack.topology import Topology


class NginxRuntime(Runtime):
    """It reads the keys of all certificates."""

    @override
    def readable(self, topology: Topology) -> Iterable[Path]:
        return topology.layout.certs.glob("*/privkey.pem")


RUNTIME = NginxRuntime()
