"""What an engine does of the app."""

from __future__ import annotations

from typing_extensions import override

from techsapo_ops.services.made_once import made_once
from techsapo_ops.services.runtime import Runtime
from techsapo_ops.stack.topology import Topology


class AppRuntime(Runtime):
    """It has a key of its own."""

    @override
    def make_keys(self, topology: Topology) -> None:
        made_once(topology.layout.app_key, topology.of_kind("app")[0].user)


RUNTIME = AppRuntime()
