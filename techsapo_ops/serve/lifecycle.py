"""Whether this instance wants new requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Lifecycle:
    """`draining` is set by the server when it was told to stop, and stays set."""

    draining: bool = False
    at_warm: list[Callable[[], None]] = field(default_factory=list)
    """What happens once the providers are warm, and all that lives as long as the process is there."""
    at_drain: list[Callable[[], None]] = field(default_factory=list)
    """What ends now that the instance drains; called on the event loop."""
