"""What the kinds of services do of logins, before and after the steps of an apply."""

from __future__ import annotations

from collections.abc import Callable

from techsapo_ops.services.runtimes import runtime_of
from techsapo_ops.stack.backup import Door
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.engine import Running
from techsapo_ops.stack.service import Service

Doors = Callable[[Service], Door | None]
"""The way to where a service runs now; None where it does not."""


def before_steps(desired: Desired, doors: Doors) -> None:
    """Let each kind make what its login needs. Raises OpsError."""
    for service in desired.topology.services:
        runtime_of(service.kind).before_steps(desired.topology, doors(service))


def started(desired: Desired, service: Service, doors: Doors) -> None:
    """Give a service that was started anew what it needs before anything asks it. Raises OpsError."""
    door = doors(service)
    if door is not None:
        runtime_of(service.kind).started(desired.topology, door)


def conclude(running: Running, desired: Desired, doors: Doors) -> tuple[str, ...]:
    """Let each kind do what waits for those that need it; what there is to tell. Raises OpsError."""
    told = []
    for service in desired.topology.services:
        door = doors(service)
        if door is not None:
            needing = [other.name for other in desired.topology.services if service.name in other.needs]

            def waits_for(needing: list[str] = needing) -> list[str]:
                pending = {step.service for step in running.plan(desired, running.observe()).changes}
                return [name for name in needing if name in pending]

            told.append(runtime_of(service.kind).after_steps(desired.topology, door, waits_for))
    return tuple(sentence for sentence in told if sentence)
