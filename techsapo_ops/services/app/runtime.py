"""What an engine does of the app."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from typing_extensions import override

from techsapo_ops.services.runtime import Runtime
from techsapo_ops.stack.topology import Topology


class AppRuntime(Runtime):
    """Its container is given the database's password."""

    @override
    def readable(self, topology: Topology) -> Iterable[Path]:
        return (topology.layout.mysql_password,)


RUNTIME = AppRuntime()
