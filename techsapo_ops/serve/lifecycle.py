"""Whether this instance wants new requests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Lifecycle:
    """`draining` is set by the server when it was told to stop, and stays set."""

    draining: bool = False
