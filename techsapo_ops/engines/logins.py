"""What the kinds of services do of logins before the steps of an apply."""

from __future__ import annotations

from collections.abc import Callable

from techsapo_ops.services.runtime import runtime_of
from techsapo_ops.stack.backup import Door
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.service import Service


def before_steps(desired: Desired, doors: Callable[[Service], Door | None]) -> None:
    """Let each kind make what its login needs. `doors` lead to where services run now. Raises OpsError."""
    for service in desired.topology.services:
        runtime_of(service).before_steps(desired.topology, doors(service))
