"""What an engine does of the nginx of one of several machines."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from typing_extensions import override

from techsapo_ops.services.runtime import Runtime
from techsapo_ops.stack.topology import Topology


class MemberRuntime(Runtime):
    """It has the keys in a volume of its machine, in which they are its own."""

    @override
    def readable(self, topology: Topology) -> Iterable[Path]:
        return ()


RUNTIME = MemberRuntime()
