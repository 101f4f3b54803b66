"""Which versions a stack is of: this program, what runs, and the apply that made it."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import datetime

from techsapo_ops.adapters.build import build, is_other
from techsapo_ops.apply.ledger import Ledger
from techsapo_ops.stack.stack import Stack


@dataclass(frozen=True, slots=True)
class Versions:
    """`build` is the one installed, `others` the services that run another, `apply` the last good one."""

    build: str
    python: str
    engine: str
    others: tuple[str, ...]
    apply: int | None
    applied: datetime | None
    applied_by: str


def versions_of(stack: Stack) -> Versions:
    """Those of `stack`. Raises OpsError where what runs or the ledger can't be read."""
    observed = stack.engine.observe()
    old = [s.name for s in observed.services.values() if s.build and is_other(s.build)]
    applied = Ledger(stack.layout.state).current()
    return Versions(
        build(),
        platform.python_version(),
        stack.topology.engine,
        tuple(old),
        applied.id if applied is not None else None,
        applied.time if applied is not None else None,
        applied.user if applied is not None else "",
    )
