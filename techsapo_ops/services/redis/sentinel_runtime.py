"""What an engine does of Sentinel."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from typing_extensions import override

from techsapo_ops.services.redis.accounts import sentinel_accounts_file
from techsapo_ops.services.runtime import Runtime
from techsapo_ops.stack.topology import Topology


class SentinelRuntime(Runtime):
    """Its accounts are made with those of Redis."""

    @override
    def readable(self, topology: Topology) -> Iterable[Path]:
        return (sentinel_accounts_file(topology.layout),)


RUNTIME = SentinelRuntime()
