"""What an engine does of the app."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from typing_extensions import override

from techsapo_ops.adapters.process import Runner
from techsapo_ops.services.made_once import made_once
from techsapo_ops.services.registry import kind_of
from techsapo_ops.services.runtime import Runtime
from techsapo_ops.stack.topology import Topology


class AppRuntime(Runtime):
    """It has a key of its own."""

    @override
    def readable(self, topology: Topology) -> Iterable[Path]:
        return kind_of("app").made_secrets(topology).values()

    @override
    def make_keys(self, topology: Topology) -> None:
        made_once(topology.layout.app_key, None)

    @override
    def prepare(self, topology: Topology, runner: Runner) -> None:
        made_once(topology.layout.app_key, topology.of_kind("app")[0].user)


RUNTIME = AppRuntime()
