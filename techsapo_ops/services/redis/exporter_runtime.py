"""What an engine does of the Redis exporter."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from typing_extensions import override

from techsapo_ops.services.redis.accounts import exporter_file
from techsapo_ops.services.runtime import Runtime
from techsapo_ops.stack.topology import Topology


class RedisExporterRuntime(Runtime):
    """Its container is given the password that was made for it."""

    @override
    def readable(self, topology: Topology) -> Iterable[Path]:
        return (exporter_file(topology.layout),)


RUNTIME = RedisExporterRuntime()
