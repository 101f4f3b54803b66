"""What a host offers, as plain values; light to import, and without a look at the host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What this host offers; gathered by `adapters.host`, a plain value here."""

    python: str
    root: bool = False
    binaries: Mapping[str, str] = field(default_factory=dict)
    """Absolute path by executable name, for those found."""
    users: frozenset[str] = frozenset()
    """System users that exist and can reach the state directory (only asked when root)."""
    app_users: frozenset[str] = frozenset()
    """Of these, the ones that can also run this Python and read this package."""
    systemd: bool = False
    """Whether systemd runs this host, and tells of its units on the system's D-Bus."""
    shares_mounts: bool = field(default=False, compare=False)
    """Whether what is mounted later reaches a container that was given the root file system: where init has
    made its mounts shared, as systemd does."""
