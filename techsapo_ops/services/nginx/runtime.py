"""What an engine does of nginx."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from techsapo_ops.services.runtime import Runtime
from techsapo_ops.stack.topology import Topology

if TYPE_CHECKING:
    from techsapo_ops.services.loaded_configuration import Loaded


class NginxRuntime(Runtime):
    """It serves the digest of its configuration, and reads the keys of all certificates."""

    @override
    def loaded(self) -> Loaded:
        from techsapo_ops.services.nginx.readback import LOADED

        return LOADED

    @override
    def readable(self, topology: Topology) -> Iterable[Path]:
        return topology.layout.certs.glob("*/privkey.pem")


RUNTIME = NginxRuntime()
