"""What an engine does of the mysqld exporter."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from typing_extensions import override

from techsapo_ops.services.mysql.exporter import CNF
from techsapo_ops.services.runtime import Runtime
from techsapo_ops.stack.topology import Topology


class MysqldExporterRuntime(Runtime):
    """It reads a login that was made with the database's password."""

    @override
    def readable(self, topology: Topology) -> Iterable[Path]:
        return (topology.layout.keys / CNF,)


RUNTIME = MysqldExporterRuntime()
