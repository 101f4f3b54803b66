"""What an engine does of Grafana."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from typing_extensions import override

from techsapo_ops.services import web_login_files
from techsapo_ops.services.runtime import Runtime
from techsapo_ops.stack.topology import Topology


class GrafanaRuntime(Runtime):
    """It logs in at the servers whose figures it shows."""

    @override
    def readable(self, topology: Topology) -> Iterable[Path]:
        return web_login_files.readable(topology, "grafana")


RUNTIME = GrafanaRuntime()
